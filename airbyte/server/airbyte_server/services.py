"""The server's parts, made once and shared by all requests."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable
from sqlalchemy import select
from sqlalchemy.orm import Session

from airbyte_server import errors
from airbyte_server.auth import Authenticator
from airbyte_server.connector import ConnectorCommands, ConnectorError
from airbyte_server.database import Actor, Database, DiscoveredCatalog, Workspace
from airbyte_server.declarative.stored import DeclarativeDefinitions
from airbyte_server.definitions import BUILT_IN, Definition, Definitions, preloads
from airbyte_server.discovery import Discovery
from airbyte_server.replication.orchestrator import Orchestrator
from airbyte_server.replication.plan import Planner
from airbyte_server.replication.processes import Launcher
from airbyte_server.scheduler import Scheduler
from airbyte_server.schema_check import SchemaCheck
from airbyte_server.settings import Settings
from airbyte_server.vault import MASK, Vault, VaultError, keep_masked, map_secrets, mask

logger = logging.getLogger(__name__)

DEFAULT_WORKSPACE = "Default Workspace"


@dataclass
class Services:
    """Call :meth:`start` once the database is migrated and :meth:`stop` at the end."""

    settings: Settings
    database: Database
    definitions: Definitions
    declarative: DeclarativeDefinitions
    launcher: Launcher
    connectors: ConnectorCommands
    discovery: Discovery
    vault: Vault
    authenticator: Authenticator
    orchestrator: Orchestrator
    scheduler: Scheduler

    @classmethod
    def open(cls, settings: Settings) -> Services:
        """Connect and migrate the database, read keys and definitions; no job runs yet."""
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        definitions = Definitions.load(
            settings.connectors_file, settings.manifests_dir, settings.data_dir / "environments"
        )
        vault = Vault.open(settings.secrets_key, settings.data_dir / "secrets.key")
        declarative = DeclarativeDefinitions(
            definitions, settings.data_dir / "manifests", settings.data_dir / "environments"
        )
        database = Database(settings.database_url)
        launcher = Launcher(settings.data_dir, preloads())
        connectors = ConnectorCommands(settings.data_dir / "commands", launcher)
        planner = Planner(definitions, connectors, vault, settings.data_dir / "work")
        discovery = Discovery(definitions, connectors, vault)
        schema_check = SchemaCheck(database, discovery, settings.schema_max_age)
        orchestrator = Orchestrator(database, planner, schema_check, launcher, settings)
        return cls(
            settings,
            database,
            definitions,
            declarative,
            launcher,
            connectors,
            discovery,
            vault,
            Authenticator(settings.client_id, settings.client_secret),
            orchestrator,
            Scheduler(database, orchestrator),
        )

    def start(self) -> None:
        with self.database.session() as session:
            self.declarative.load(session)
        self.orchestrator.start()
        with self.database.session.begin() as session:
            self._encrypt_with_newest_key(session)
            if session.scalar(select(Workspace.id).limit(1)) is None:
                session.add(Workspace(name=DEFAULT_WORKSPACE))
            forked = [definition.id for definition in BUILT_IN if definition.preload]
            if session.scalar(
                select(Actor.id).where(Actor.definition_id.in_(forked), Actor.deleted_at.is_(None)).limit(1)
            ):
                self.launcher.warm_up()
        self.scheduler.start()

    def _encrypt_with_newest_key(self, session: Session) -> None:
        for actor in session.scalars(select(Actor).with_for_update()):
            try:
                actor.configuration = self.vault.rotated(actor.configuration)
            except VaultError as error:
                logger.warning("%s %r: %s", actor.kind, actor.name, error)

    def stop(self) -> None:
        self.scheduler.stop()
        self.orchestrator.stop()
        self.launcher.close()
        self.database.close()

    def specification(self, definition: Definition) -> dict[str, Any]:
        """The connector's configuration schema; a failing connector is a 500 problem."""
        try:
            return self.connectors.specification(definition)
        except ConnectorError as error:
            raise errors.connector_failed(str(error)) from error

    def definition_of(self, actor: Actor) -> Definition:
        return self.definitions.get(actor.kind, actor.definition_id)  # type: ignore[arg-type]  # checked by the table

    def sealed_configuration(
        self, definition: Definition, configuration: dict[str, Any], current: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Check a client's configuration and encrypt its secrets; a 422 problem names what the schema forbids.

        ``**********`` stands for the value in ``current``, the stored configuration.
        """
        type_key = f"{definition.kind}Type"
        plain = {key: value for key, value in configuration.items() if key != type_key}
        if current is not None:
            plain = keep_masked(plain, self.vault.decrypt(current))
        specification = self.specification(definition)
        validate_configuration(plain, specification)
        try:
            return self.vault.encrypt(plain, specification)
        except ValueError as error:
            raise errors.unprocessable(str(error)) from error

    def public_configuration(self, actor: Actor) -> dict[str, Any]:
        """What clients see: secrets masked, and upstream's name of the connector added, which typed clients need."""
        definition = self.definition_of(actor)
        masked = mask(actor.configuration, self.specification(definition))
        return {**masked, f"{actor.kind}Type": definition.connector_type} if definition.type_is_upstreams else masked

    def discover(self, session: Session, source: Actor, *, ignore_cache: bool = False) -> DiscoveredCatalog:
        """See :meth:`Discovery.discover`."""
        return self.discovery.discover(session, source, max_age=timedelta(0) if ignore_cache else None)


def validate_configuration(configuration: dict[str, Any], specification: dict[str, Any]) -> None:
    """Raise a 422 problem that names each wrong value's place, never the value of a secret."""
    if any(found == MASK for found in _secrets(configuration, specification)):
        raise errors.unprocessable(
            f"A secret is given as {MASK!r}, and there is no stored value to keep: send the value."
        )
    # With a registry of its own, a reference to somewhere else is not fetched.
    validator = jsonschema.Draft7Validator(specification, registry=Registry())
    try:
        found = list(validator.iter_errors(configuration))
    except (Unresolvable, re.error) as reason:
        raise errors.unprocessable(f"The connector's specification cannot be applied: {reason}") from reason
    problems = []
    for error in found:
        place = ".".join(str(part) for part in error.absolute_path) or "configuration"
        # The library's message quotes the value; for all but these it could be a secret.
        text = error.message if error.validator in ("required", "additionalProperties") else _expectation(error)
        problems.append(f"{place}: {text}")
    if problems:
        raise errors.unprocessable("The configuration does not fit the connector: " + "; ".join(sorted(problems)))


def _expectation(error: jsonschema.ValidationError) -> str:
    if error.validator in ("oneOf", "anyOf"):
        return f"fits {'more than one' if error.validator == 'oneOf' and not error.context else 'none'} of the variants"
    return f"must satisfy {error.validator} {error.validator_value!r}"


def _secrets(configuration: dict[str, Any], specification: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    map_secrets(configuration, specification, found.append)
    return found
