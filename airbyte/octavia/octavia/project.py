"""The declared sources, destinations and connections of a project folder, read and validated as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from octavia import connection, overlay, schema, yamlfile
from octavia.errors import InvalidFiles, OctaviaError, Problem
from octavia.yamlfile import Document

Kind = Literal["source", "destination", "connection"]
KINDS: tuple[Kind, ...] = ("source", "destination", "connection")
"""In the order in which they can be created."""


@dataclass(frozen=True)
class Actor:
    """A declared source or destination."""

    kind: Kind
    name: str
    document: Document

    @property
    def definition_id(self) -> str:
        return str(self.document.value["definition_id"]).lower()

    @property
    def configuration(self) -> dict[str, Any]:
        return self.document.value["configuration"]


@dataclass(frozen=True)
class Connection:
    """A declared connection between two declared actors."""

    name: str
    source: Actor
    destination: Actor
    document: Document
    kind: Kind = "connection"


@dataclass(frozen=True)
class Project:
    """What is declared, in the order in which it is applied."""

    actors: list[Actor]
    connections: list[Connection]

    @property
    def resources(self) -> list[Actor | Connection]:
        return [*self.actors, *self.connections]

    @property
    def secret_values(self) -> set[str]:
        """Everything that must not be printed; a connection has no secrets."""
        return set().union(*(actor.document.secret_values for actor in self.actors))


def load(
    directory: Path, variables: Mapping[str, str], only: Sequence[Path] = (), environment: str | None = None
) -> Project:
    """Read and validate the project in ``directory``, or just the files ``only``.

    Files that a connection in ``only`` names are validated too, as it needs their names, but left out of the result.
    ``environment`` lays each file's ``configuration.<environment>.yaml`` over it, where there is one.

    Raises:
        InvalidFiles: everything that is wrong with the files, at once.
        OctaviaError: there are no files, or none for this environment.
    """
    everything = files(directory)
    wanted = [_project_file(directory, file) for file in only] or everything
    if not wanted:
        raise OctaviaError(
            f"no {{sources,destinations,connections}}/*/configuration.yaml in {directory}: "
            "name the project folder with --directory"
        )
    known = set().union(*map(overlay.environments, everything))
    if environment and environment not in known:
        there_are = ", ".join(sorted(known)) or "none"
        raise OctaviaError(
            f"environment {environment}: no configuration.{environment}.yaml in {directory}; there are: {there_are}"
        )
    reader = _Reader(directory, variables, environment)
    for file in wanted:
        reader.read(file, _kind(file))
    connections = [reader.link(file) for file in wanted if _kind(file) == "connection"]
    problems = reader.problems + _same_names(list(reader.documents.items()))
    if problems:
        raise InvalidFiles(problems)
    return Project(
        [reader.actor(file) for kind in KINDS[:2] for file in wanted if _kind(file) == kind],
        [found for found in connections if found],
    )


def files(directory: Path) -> list[Path]:
    """Every file of the project in ``directory``, in the order in which they can be applied."""
    return [file for kind in KINDS for file in sorted(directory.glob(f"{kind}s/*/configuration.yaml"))]


class _Reader:
    def __init__(self, directory: Path, variables: Mapping[str, str], environment: str | None) -> None:
        self.directory = directory
        self.variables = variables
        self.environment = environment
        self.problems: list[Problem] = []
        self.documents: dict[Path, Document] = {}
        self._broken: set[Path] = set()

    def read(self, file: Path, kind: Kind) -> Document | None:
        if file in self._broken:
            return None
        if file not in self.documents:
            try:
                document = yamlfile.read(file, self.variables)
                if self.environment and (over := overlay.file_of(file, self.environment)).is_file():
                    document = overlay.merge(document, yamlfile.read(over, self.variables))
                found = schema.problems(document, kind)
                if kind == "connection" and not found:
                    found = list(connection.problems(document))
                if found:
                    raise InvalidFiles(found)
            except InvalidFiles as error:
                self.problems += error.problems
                self._broken.add(file)
                return None
            self.documents[file] = document
        return self.documents[file]

    def actor(self, file: Path) -> Actor:
        document = self.documents[file]
        return Actor(_kind(file), document.value["resource_name"], document)

    def link(self, file: Path) -> Connection | None:
        document = self.documents.get(file)
        if document is None:
            return None
        source = self._end(document, "source")
        destination = self._end(document, "destination")
        if source is None or destination is None:
            return None
        return Connection(document.value["resource_name"], source, destination, document)

    def _end(self, document: Document, kind: Kind) -> Actor | None:
        key = f"{kind}_configuration_path"
        file = self.directory / document.value[key]
        if not file.is_file() or file.parent.parent != self.directory / f"{kind}s":
            message = (
                f"{document.value[key]!r} is not a {kind}'s file of this project ({kind}s/NAME/configuration.yaml)"
            )
            self.problems.append(document.problem((key,), message))
            return None
        return self.actor(file) if self.read(file, kind) else None


def _project_file(directory: Path, file: Path) -> Path:
    """``file`` as a path below ``directory``; it may be given from here or from there."""
    for candidate in (file, directory / file):
        if candidate.is_file():
            resolved = candidate.resolve()
            if resolved.parent.parent.parent == directory.resolve() and resolved.parent.parent.name in (
                f"{kind}s" for kind in KINDS
            ):
                return directory / resolved.relative_to(directory.resolve())
            raise OctaviaError(f"{file} is not in sources/, destinations/ or connections/ of {directory}")
    raise OctaviaError(f"{file}: no such file, neither here nor in {directory}")


def _kind(file: Path) -> Kind:
    return next(kind for kind in KINDS if file.parent.parent.name == f"{kind}s")


def _same_names(documents: Sequence[tuple[Path, Document]]) -> list[Problem]:
    """Resources are found by their names, so two of a kind cannot share one."""
    first: dict[tuple[Kind, str], Path] = {}
    found: list[Problem] = []
    for file, document in documents:
        identity = (_kind(file), document.value["resource_name"])
        if identity in first:
            found.append(document.problem(("resource_name",), f"{identity[1]!r} is also the name in {first[identity]}"))
        first.setdefault(identity, file)
    return found
