"""The metadata database: its rows as classes, and how to reach it."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Engine, ForeignKey, Identity, Table, Text, create_engine, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

from airbyte_server.migrations import migrate

_ONE_SERVER_LOCK = 0x41425953
_CLAIM_SECONDS = 3.0

UNFINISHED = ("pending", "running", "incomplete")


def now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class attribute
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        datetime: TIMESTAMP(timezone=True),
        str: Text,
    }


class Workspace(Base):
    __tablename__ = "workspaces"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    name: Mapped[str]
    notifications: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]


class Actor(Base):
    __tablename__ = "actors"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    workspace_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("workspaces.id"))
    kind: Mapped[str]
    definition_id: Mapped[uuid.UUID]
    name: Mapped[str]
    configuration: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]


class DeclarativeSourceDefinition(Base):
    __tablename__ = "declarative_source_definitions"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    workspace_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str]
    manifest: Mapped[dict[str, Any]]
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]


class DiscoveredCatalog(Base):
    __tablename__ = "discovered_catalogs"
    actor_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("actors.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4)
    configuration_hash: Mapped[str]
    catalog: Mapped[dict[str, Any]]
    discovered_at: Mapped[datetime] = mapped_column(default=now)


connection_tags = Table(
    "connection_tags",
    Base.metadata,
    Column("connection_id", ForeignKey("connections.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    workspace_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str]
    color: Mapped[str]


class Connection(Base):
    __tablename__ = "connections"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    workspace_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("workspaces.id"))
    source_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("actors.id"))
    destination_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("actors.id"))
    name: Mapped[str]
    status: Mapped[str]
    schedule: Mapped[dict[str, Any]]
    namespace_definition: Mapped[str]
    namespace_format: Mapped[str | None]
    prefix: Mapped[str]
    non_breaking_changes: Mapped[str]
    streams: Mapped[list[Any]]
    known_streams: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    schema_change: Mapped[str] = mapped_column(default="no_change")
    schema_diff: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    schema_diff_at: Mapped[datetime | None]
    status_reason: Mapped[str | None]
    scheduled_since: Mapped[datetime] = mapped_column(default=now)
    created_at: Mapped[datetime] = mapped_column(default=now)
    deleted_at: Mapped[datetime | None]
    source: Mapped[Actor] = relationship(foreign_keys=source_id)
    destination: Mapped[Actor] = relationship(foreign_keys=destination_id)
    tags: Mapped[list[Tag]] = relationship(secondary=connection_tags, order_by=Tag.name)


class Job(Base):
    __tablename__ = "jobs"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    connection_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("connections.id"))
    config_type: Mapped[str]
    refresh_mode: Mapped[str | None]
    scope: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    status: Mapped[str] = mapped_column(default="pending")
    streams: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(default=now)
    connection: Mapped[Connection] = relationship()
    attempts: Mapped[list[Attempt]] = relationship(order_by="Attempt.number", lazy="selectin")


class Attempt(Base):
    __tablename__ = "attempts"
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(default="running")
    stream_stats: Mapped[list[Any]] = mapped_column(default=list)
    failures: Mapped[list[Any]] = mapped_column(default=list)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    ended_at: Mapped[datetime | None]


class StreamState(Base):
    __tablename__ = "stream_states"
    connection_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    namespace: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    state: Mapped[str]
    updated_at: Mapped[datetime] = mapped_column(default=now)


class StreamGeneration(Base):
    __tablename__ = "stream_generations"
    connection_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("connections.id"), primary_key=True)
    namespace: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    generation_id: Mapped[int] = mapped_column(BigInteger)


class ConnectionEvent(Base):
    """Written by a trigger of the database, see the migration that made the table."""

    __tablename__ = "connection_events"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    connection_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("connections.id"))
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Database:
    """Sessions on a migrated metadata database, which belongs to this server until :meth:`close`.

    Raises what SQLAlchemy raises when the database cannot be reached, and :class:`RuntimeError` when another live
    server works on it: two would run the same jobs.
    """

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(
            url, hide_parameters=True, pool_pre_ping=True, pool_size=10, max_overflow=20
        )
        self._claim = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        # A server killed a moment ago holds the lock until Postgres notices.
        deadline = time.monotonic() + _CLAIM_SECONDS
        while not self._lock():
            if time.monotonic() > deadline:
                raise RuntimeError(
                    "another airbyte-server works on this metadata database: stop it, or give another --database-url"
                )
            time.sleep(0.1)
        migrate(self.engine)
        self.session: sessionmaker[Session] = sessionmaker(self.engine, expire_on_commit=False)

    def keep(self) -> None:
        """Take the database again if it has ended the session that held it; call it now and then.

        Raises :class:`RuntimeError` when another server was faster.
        """
        held = text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :key AND pid = pg_backend_pid()"
        )
        try:
            if self._claim.scalar(held, {"key": _ONE_SERVER_LOCK}):
                return
        except DBAPIError:
            self._claim.rollback()  # the next statement opens another session
        if not self._lock():
            raise RuntimeError("another airbyte-server has taken this metadata database")

    def _lock(self) -> bool:
        return bool(self._claim.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ONE_SERVER_LOCK}))

    def close(self) -> None:
        self._claim.close()
        self.engine.dispose()
