"""Low-code sources that clients added through the API: rows of the database, and manifests on disk for connectors."""

from __future__ import annotations

from pathlib import Path

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from airbyte_server.database import DeclarativeSourceDefinition
from airbyte_server.declarative.manifest import parse_manifest
from airbyte_server.definitions import Definitions, manifest_definition


class DeclarativeDefinitions:
    """Keeps :class:`Definitions` in step with the stored manifests."""

    def __init__(self, definitions: Definitions, manifests: Path, environments: Path) -> None:
        """Manifests are written into the folder ``manifests``; they run in an environment below ``environments``."""
        self._definitions = definitions
        self._manifests = manifests
        self._environments = environments

    def load(self, session: Session) -> None:
        """Publish everything stored, when the server starts."""
        for row in session.scalars(select(DeclarativeSourceDefinition)):
            self.publish(row)

    def publish(self, row: DeclarativeSourceDefinition) -> None:
        """Let sources be made of it, in its present version; jobs that run keep the file of theirs.

        Raises :class:`ManifestError`.
        """
        manifest = parse_manifest(row.manifest, f"the manifest of {row.name!r}")
        self._manifests.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._manifests / f"{row.id}-{row.version}.yaml"
        path.write_text(yaml.safe_dump(row.manifest, allow_unicode=True))
        self._definitions.put(
            manifest_definition(
                row.id,
                row.name,
                row.name,
                path,
                manifest,
                self._environments,
                workspace_id=row.workspace_id,
                deleted=row.deleted_at is not None,
            )
        )
