"""What a source has: its last discovered catalog, or a new one."""

from __future__ import annotations

import hashlib
import uuid
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy.orm import Session

from airbyte_server import errors
from airbyte_server.connector import ConnectorCommands, ConnectorError
from airbyte_server.database import Actor, DiscoveredCatalog, now
from airbyte_server.definitions import Definition, Definitions
from airbyte_server.vault import Vault


class Discovery:
    def __init__(self, definitions: Definitions, connectors: ConnectorCommands, vault: Vault) -> None:
        self._definitions = definitions
        self._connectors = connectors
        self._vault = vault

    def discover(self, session: Session, source: Actor, *, max_age: timedelta | None = None) -> DiscoveredCatalog:
        """The source's catalog, from the last discovery while the configuration is the same and it is young enough.

        A failing connector is a 422 problem with its message: most often the configuration is wrong.
        """
        definition = self._definitions.get("source", source.definition_id)
        configuration = self._vault.decrypt(source.configuration)
        digest = _digest(definition, configuration)
        cached = session.get(DiscoveredCatalog, source.id)
        young = cached is not None and (max_age is None or now() - cached.discovered_at < max_age)
        if cached is not None and young and cached.configuration_hash == digest:
            return cached
        try:
            catalog = self._connectors.discover(definition, configuration)
        except ConnectorError as error:
            message = f"The schema of source {source.name!r} could not be discovered: {error}"
            raise errors.unprocessable(message) from error
        fresh = DiscoveredCatalog(
            actor_id=source.id, id=uuid.uuid4(), configuration_hash=digest, catalog=catalog, discovered_at=now()
        )
        return session.merge(fresh)


def _digest(definition: Definition, configuration: dict[str, Any]) -> str:
    identity = [str(definition.id), definition.docker_image_tag, configuration]
    return hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()
