"""What a job replicates: generations fixed when it starts, catalogs and state for each of its attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from airbyte_server.catalog import SYNC_MODES, SyncMode, protocol_stream, stream_key
from airbyte_server.connector import ConnectorCommands
from airbyte_server.database import Actor, Job, StreamGeneration, StreamState, now
from airbyte_server.definitions import Definition, Definitions
from airbyte_server.replication.attempt import Plan, Side
from airbyte_server.replication.checkpoints import Checkpoint
from airbyte_server.replication.mapping import NameMapping
from airbyte_server.vault import Redactor, Vault


def fix_streams(session: Session, job: Job) -> list[dict[str, Any]]:
    """Decide once per job, for all its attempts, each stream's generation; the result is stored in ``job.streams``.

    A stream that the job replaces (full refresh overwrite, a truncating refresh, or any stream when clearing) gets a
    new generation, which is also the minimum one: the destination drops older rows when the stream is complete. A
    merging refresh begins a generation too, and keeps older rows. Full-refresh, refreshed and cleared streams start
    without state: a clear that is cancelled when the rows are gone already must not leave it. Attempts after the first
    keep all this, so that they can go on where the last one stopped. A stream whose replacing was given up (a refresh
    or clear was cancelled, or failed too often) goes on being replaced by the jobs that follow.

    A clear has only the streams of its scope; a refresh also syncs the connection's others.
    """
    clear, refresh = job.config_type == "clear", job.config_type == "refresh"
    given_up = _given_up(session, job)
    streams = []
    for stored in job.connection.streams:
        mode = SYNC_MODES[stored["syncMode"]]
        key = stream_key(stored)
        in_scope = job.scope is None or any(stream_key(one) == key for one in job.scope)
        if clear and not in_scope:
            continue
        refreshed = refresh and in_scope
        replaces = clear or mode.truncates or (refreshed and job.refresh_mode == "truncate")
        generation = session.get(StreamGeneration, (job.connection_id, *key))
        if generation is None:
            generation = StreamGeneration(
                connection_id=job.connection_id, namespace=key[0], name=key[1], generation_id=0
            )
            session.add(generation)
        if replaces or refreshed:
            generation.generation_id += 1
        elif key in given_up:
            replaces = True
        if refreshed or clear or mode.source == "full_refresh":
            drop_state(session, job.connection_id, key)
        streams.append(
            {
                **({**stored, "syncMode": _clearing_mode(mode)} if clear else stored),
                "generationId": generation.generation_id,
                "minimumGenerationId": generation.generation_id if replaces else 0,
            }
        )
    if (refresh or clear) and job.scope is None:
        # Also what the streams share.
        drop_all_state(session, job.connection_id)
    return streams


def _given_up(session: Session, job: Job) -> set[tuple[str, str]]:
    """The streams whose last job was to replace them, and did not succeed."""
    keys = {stream_key(stream) for stream in job.connection.streams}
    found = set()
    earlier = select(Job).where(Job.connection_id == job.connection_id, Job.id < job.id, Job.streams.is_not(None))
    for last in session.scalars(earlier.order_by(Job.id.desc()).execution_options(yield_per=5)):
        for stream in last.streams or []:
            key = stream_key(stream)
            if key in keys and last.status != "succeeded" and stream["minimumGenerationId"]:
                found.add(key)
            keys.discard(key)
        if not keys:
            break
    return found


def _clearing_mode(mode: SyncMode) -> str:
    """Replace with nothing; a deduplicated stream stays one, for the destination lays out its table by that."""
    return "full_refresh_overwrite_deduped" if mode.dedups else "full_refresh_overwrite"


def drop_state(session: Session, connection_id: Any, key: tuple[str, str]) -> None:
    """Forget a stream's state, so that its next sync begins anew."""
    session.execute(
        delete(StreamState).where(
            StreamState.connection_id == connection_id, StreamState.namespace == key[0], StreamState.name == key[1]
        )
    )


def drop_all_state(session: Session, connection_id: Any) -> None:
    session.execute(delete(StreamState).where(StreamState.connection_id == connection_id))


def store_checkpoints(session: Session, connection_id: Any, checkpoints: list[Checkpoint]) -> None:
    """Store confirmed states, the later over the earlier."""
    latest = {row.key: row for checkpoint in checkpoints for row in checkpoint.rows}
    for (namespace, name), row in latest.items():
        values = {"kind": row.kind, "state": row.state.decode(), "updated_at": now()}
        session.execute(
            insert(StreamState)
            .values(connection_id=connection_id, namespace=namespace, name=name, **values)
            .on_conflict_do_update(index_elements=["connection_id", "namespace", "name"], set_=values)
        )


def state_messages(rows: list[StreamState]) -> bytes | None:
    """The content of ``--state`` for a source, from stored rows; ``None`` when there are none."""
    if not rows:
        return None
    shared = next((row for row in rows if row.kind == "global"), None)
    legacy = next((row for row in rows if row.kind == "legacy"), None)
    streams = [
        {
            "stream_descriptor": {"name": row.name, **({"namespace": row.namespace} if row.namespace else {})},
            "stream_state": orjson.Fragment(row.state),
        }
        for row in rows
        if row.kind == "stream"
    ]
    if legacy is not None:
        return legacy.state.encode()
    if shared is not None:
        whole = {"shared_state": orjson.Fragment(shared.state), "stream_states": streams}
        return orjson.dumps([{"type": "GLOBAL", "global": whole}])
    return orjson.dumps([{"type": "STREAM", "stream": stream} for stream in streams])


def state_type(rows: list[StreamState]) -> str | None:
    """The type of the STATE messages that the stored rows came in; ``None`` where there are none."""
    kinds = {row.kind for row in rows}
    return next((kind.upper() for kind in ("legacy", "global", "stream") if kind in kinds), None)


class Planner:
    """Makes an attempt's plan from the stored job, with configurations decrypted."""

    def __init__(self, definitions: Definitions, connectors: ConnectorCommands, vault: Vault, work_dir: Path) -> None:
        self._definitions = definitions
        self._connectors = connectors
        self._vault = vault
        self._work_dir = work_dir

    def definition(self, actor: Actor) -> Definition:
        return self._definitions.get(actor.kind, actor.definition_id)  # type: ignore[arg-type]  # checked by the table

    def configuration(self, actor: Actor) -> dict[str, Any]:
        return self._vault.decrypt(actor.configuration)

    def redactor(self, job: Job) -> Redactor:
        """Masks the secrets of both connectors of a job."""
        actors = (job.connection.source, job.connection.destination)
        return Redactor(
            *((self.configuration(actor), self._connectors.specification(self.definition(actor))) for actor in actors)
        )

    def plan(self, session: Session, job: Job, number: int) -> Plan:
        connection = job.connection
        mapping = NameMapping(connection.namespace_definition, connection.namespace_format, connection.prefix)
        streams = job.streams or []
        configured = [
            protocol_stream(
                stream,
                generation_id=stream["generationId"],
                minimum_generation_id=stream["minimumGenerationId"],
                sync_id=job.id,
            )
            for stream in streams
        ]
        mapped = [{**stream, "stream": mapping.stream(stream["stream"])} for stream in configured]
        keys = [stream_key(stream) for stream in streams]
        rows = list(session.scalars(select(StreamState).where(StreamState.connection_id == connection.id)))
        relevant = [row for row in rows if row.kind != "stream" or (row.namespace, row.name) in keys]
        source = connection.source
        clear = job.config_type == "clear"
        ends = (source, connection.destination)
        return Plan(
            source=None if clear else self._side(source, configured),
            destination=self._side(connection.destination, mapped),
            state=None if clear else state_messages(relevant),
            state_type=state_type(relevant),
            mapping=mapping,
            streams=keys,
            resumed=frozenset((row.namespace, row.name) for row in relevant if row.kind == "stream"),
            folder=self._work_dir / f"job-{job.id}-{number}",
            arrow=not clear and all(self._connectors.takes_arrow(self.definition(end)) for end in ends),
        )

    def _side(self, actor: Actor, streams: list[dict[str, Any]]) -> Side:
        return Side(self.definition(actor).argv, self.configuration(actor), {"streams": streams})
