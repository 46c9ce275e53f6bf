"""The connectors this server can run: the two built in, those a YAML file adds, and low-code manifests of a folder.

The file (``AIRBYTE_CONNECTORS_FILE``) is a list of entries with the keys ``id`` (uuid), ``kind`` (source or
destination), ``name``, ``type`` (the ``sourceType``/``destinationType`` of the API) and ``command`` (a list: an
executable speaking the Airbyte protocol, and its leading arguments). ``environment`` names the virtual environment
that the executable is installed in, relative to the file.

Every ``NAME.yaml`` of the folder (``AIRBYTE_MANIFESTS_DIR``) is the manifest of a source whose type is NAME.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from airbyte_server import __version__
from airbyte_server.declarative.manifest import Manifest, ManifestError, read_manifest
from airbyte_server.errors import Problem, not_found, value_not_found
from airbyte_server.settings import SettingsError

Kind = Literal["source", "destination"]


@dataclass(frozen=True)
class Definition:
    """One connector. ``connector_type`` is upstream's name where there is one, so that typed clients can read it."""

    id: uuid.UUID
    kind: Kind
    name: str
    connector_type: str
    command: tuple[str, ...]
    docker_repository: str
    docker_image_tag: str
    documentation_url: str | None = None
    # Whose alone it is; all others can be used in every workspace.
    workspace_id: uuid.UUID | None = None
    # Typed clients refuse a configuration that names a type they do not know.
    type_is_upstreams: bool = True
    # Still known for the sake of deleted sources.
    deleted: bool = False
    # The module that imports all it needs, where it is installed with this server: it is forked, not started.
    preload: str | None = None

    @cached_property
    def argv(self) -> list[str]:
        """The command with its executable found beside this interpreter, else on the PATH.

        Raises :class:`FileNotFoundError` when it is in neither place.
        """
        executable = self.command[0]
        beside = Path(sys.executable).parent / executable
        found = str(beside) if "/" not in executable and beside.exists() else shutil.which(executable)
        if found is None:
            raise FileNotFoundError(
                f"the command {executable!r} of connector {self.name!r} is neither beside {sys.executable} nor on the "
                "PATH: install the connector, or correct the command in AIRBYTE_CONNECTORS_FILE"
            )
        return [found, *self.command[1:]]


_MANIFESTS = uuid.UUID("64a2f99c-542f-4af8-9a6f-355f1217b436")

BUILT_IN = (
    Definition(
        uuid.UUID("decd338e-5647-4c0b-adf4-da0e75f5a750"),
        "source",
        "Postgres",
        "postgres",
        ("source-postgres",),
        "airbyte/source-postgres",
        __version__,
        "https://docs.airbyte.com/integrations/sources/postgres",
        preload="source_postgres.preload",
    ),
    Definition(
        uuid.UUID("22f6c74f-5699-40ff-833c-4a879ea40133"),
        "destination",
        "BigQuery",
        "bigquery",
        ("destination-bigquery",),
        "airbyte/destination-bigquery",
        __version__,
        "https://docs.airbyte.com/integrations/destinations/bigquery",
        preload="destination_bigquery.preload",
    ),
)


def preloads() -> dict[str, str]:
    """The modules to import for the connectors built in, by executable."""
    found = {}
    for definition in BUILT_IN:
        with contextlib.suppress(FileNotFoundError):  # running it will say so
            executable = definition.argv[0]
            if definition.preload and Path(executable).parent == Path(sys.executable).parent:
                found[executable] = definition.preload
    return found


class Definitions:
    """All definitions, found by id or by type."""

    def __init__(self, definitions: tuple[Definition, ...]) -> None:
        self._by_id = {definition.id: definition for definition in definitions}

    @classmethod
    def load(cls, connectors_file: Path | None, manifests_dir: Path | None, environments: Path) -> Definitions:
        """The built-in ones, those of ``connectors_file``, and of each manifest in ``manifests_dir``.

        Manifests run in an environment below ``environments``. Raises :class:`SettingsError` for a malformed file.
        """
        added = _read(connectors_file) if connectors_file else ()
        manifests = _manifests(manifests_dir, environments) if manifests_dir else ()
        return cls(BUILT_IN + added + manifests)

    def put(self, definition: Definition) -> None:
        """Add it, or replace the one of its id."""
        self._by_id = {**self._by_id, definition.id: definition}

    def of_kind(self, kind: Kind, workspace_id: uuid.UUID | None = None) -> list[Definition]:
        """Those that new sources or destinations can be made of: in every workspace, or also those of one."""
        return [
            definition
            for definition in self._by_id.values()
            if definition.kind == kind and not definition.deleted and definition.workspace_id in (None, workspace_id)
        ]

    def get(self, kind: Kind, definition_id: uuid.UUID) -> Definition:
        """Raises a 404 :class:`Problem`. Finds deleted ones, too."""
        definition = self._by_id.get(definition_id)
        if definition is None or definition.kind != kind:
            raise not_found(f"{kind}_definition", definition_id)
        return definition

    def choose(
        self,
        kind: Kind,
        definition_id: uuid.UUID | None,
        connector_type: str | None,
        workspace_id: uuid.UUID | None = None,
    ) -> Definition:
        """What a create request means: the id wins over the type. What is unknown is a 400 problem."""
        candidates = self.of_kind(kind, workspace_id)
        if definition_id is not None:
            found = next((d for d in candidates if d.id == definition_id), None)
            problem: Problem = value_not_found("definitionId", str(definition_id), [str(d.id) for d in candidates])
        else:
            found = next((d for d in candidates if d.connector_type == connector_type), None)
            problem = value_not_found(f"{kind}Type", connector_type or "", [d.connector_type for d in candidates])
        if found is None:
            raise problem
        return found


def _read(path: Path) -> tuple[Definition, ...]:
    try:
        entries: Any = yaml.safe_load(path.read_text())
        return tuple(
            Definition(
                id=uuid.UUID(entry["id"]),
                kind={"source": "source", "destination": "destination"}[entry["kind"]],  # type: ignore[arg-type]
                name=str(entry["name"]),
                connector_type=str(entry["type"]),
                command=_command(entry, path.parent),
                docker_repository=str(entry.get("docker_repository", entry["command"][0])),
                docker_image_tag=str(entry.get("docker_image_tag", "local")),
                documentation_url=entry.get("documentation_url"),
            )
            for entry in entries
        )
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise SettingsError(
            f"AIRBYTE_CONNECTORS_FILE={path} cannot be used ({type(error).__name__}: {error}); it must be a YAML list "
            "of entries with id, kind (source or destination), name, type and command (a list)"
        ) from error


def _command(entry: dict[str, Any], folder: Path) -> tuple[str, ...]:
    executable, *arguments = [str(part) for part in entry["command"]]
    if "environment" in entry:
        executable = str(folder.resolve() / entry["environment"] / "bin" / executable)
    return (executable, *arguments)


def _manifests(folder: Path, environments: Path) -> tuple[Definition, ...]:
    if not folder.is_dir():
        raise SettingsError(f"AIRBYTE_MANIFESTS_DIR={folder} is no folder")
    return tuple(_of_manifest(path.resolve(), environments) for path in sorted(folder.glob("*.yaml")))


def _of_manifest(path: Path, environments: Path) -> Definition:
    try:
        manifest = read_manifest(path)
    except ManifestError as error:
        raise SettingsError(f"AIRBYTE_MANIFESTS_DIR: {error}") from error
    # The same file name is the same connector, wherever the folder is.
    definition_id = uuid.uuid5(_MANIFESTS, path.stem)
    name = path.stem.replace("-", " ").replace("_", " ").capitalize()
    return manifest_definition(definition_id, name, path.stem, path, manifest, environments)


def manifest_definition(
    definition_id: uuid.UUID,
    name: str,
    connector_type: str,
    path: Path,
    manifest: Manifest,
    environments: Path,
    *,
    workspace_id: uuid.UUID | None = None,
    deleted: bool = False,
) -> Definition:
    """The source that the manifest in the file ``path`` is."""
    return Definition(
        definition_id,
        "source",
        name,
        connector_type,
        (sys.executable, "-m", "airbyte_server.declarative", str(path), str(environments)),
        "airbyte/source-declarative-manifest",
        manifest.version,
        manifest.specification.get("documentationUrl"),
        workspace_id,
        type_is_upstreams=False,
        deleted=deleted,
    )
