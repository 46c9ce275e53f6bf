"""The connectors this server can run: the two built in, and those a YAML file adds.

The file (``AIRBYTE_CONNECTORS_FILE``) is a list of entries with the keys ``id`` (uuid), ``kind`` (source or
destination), ``name``, ``type`` (the ``sourceType``/``destinationType`` of the API) and ``command`` (a list: an
executable speaking the Airbyte protocol, and its leading arguments).
"""

from __future__ import annotations

import shutil
import sys
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from airbyte_server import __version__
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
    ),
)


class Definitions:
    """All definitions, found by id or by type."""

    def __init__(self, definitions: tuple[Definition, ...]) -> None:
        self._by_id = {definition.id: definition for definition in definitions}

    @classmethod
    def load(cls, connectors_file: Path | None) -> Definitions:
        """The built-in ones and those of ``connectors_file``; raise :class:`SettingsError` for a malformed file."""
        return cls(BUILT_IN + (_read(connectors_file) if connectors_file else ()))

    def of_kind(self, kind: Kind) -> list[Definition]:
        return [definition for definition in self._by_id.values() if definition.kind == kind]

    def get(self, kind: Kind, definition_id: uuid.UUID) -> Definition:
        """Raises a 404 :class:`Problem`."""
        definition = self._by_id.get(definition_id)
        if definition is None or definition.kind != kind:
            raise not_found(f"{kind}_definition", definition_id)
        return definition

    def choose(self, kind: Kind, definition_id: uuid.UUID | None, connector_type: str | None) -> Definition:
        """What a create request means: the id wins over the type. What is unknown is a 400 problem."""
        candidates = self.of_kind(kind)
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
                command=tuple(str(part) for part in entry["command"]),
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
