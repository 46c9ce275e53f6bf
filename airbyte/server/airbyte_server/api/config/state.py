"""The Config API's calls for a connection's state; digits of numbers stay as connectors wrote them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from airbyte_server.api.config.connections import ConnectionId
from airbyte_server.api.requests import ServicesDep, SessionDep, existing
from airbyte_server.database import UNFINISHED, Connection, Job, StreamState
from airbyte_server.errors import bad_request, not_found, sync_is_running
from airbyte_server.replication.checkpoints import Checkpoint, StateRow
from airbyte_server.replication.json_spans import Span, elements, members
from airbyte_server.replication.plan import drop_all_state, store_checkpoints

router = APIRouter(prefix="/state")

# Read without a model, which would write numbers in its own way.
_CONTENT: dict[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["connectionId", "connectionState"],
            "properties": {
                "connectionId": {"type": "string", "format": "uuid"},
                "connectionState": {
                    "type": "object",
                    "required": ["stateType"],
                    "properties": {
                        "stateType": {"enum": ["stream", "global", "legacy", "not_set"]},
                        "streamState": {"type": "array", "items": {"type": "object"}},
                        "globalState": {"type": "object"},
                        "state": {"type": "object"},
                    },
                },
            },
        }
    }
}


@router.post("/get")
def get_state(body: ConnectionId, session: SessionDep) -> Response:
    existing(session, Connection, body.connection_id, "connection")
    return _answer(session, body.connection_id)


@router.post("/create_or_update_safe", openapi_extra={"requestBody": {"required": True, "content": _CONTENT}})
async def replace_state(request: Request, services: ServicesDep) -> Response:
    """Replace the whole state, as ``get`` gives it; a 423 problem while a job of the connection is unfinished."""
    text = await request.body()
    return await run_in_threadpool(_replace, text, services.database.session)


def _replace(text: bytes, sessions: Any) -> Response:
    connection_id, rows = _parse(text)
    with sessions.begin() as session:
        # Locked: a job that begins now waits with its creation, and then reads the new state.
        connection = session.get(Connection, connection_id, with_for_update=True)
        if connection is None or connection.deleted_at is not None:
            raise not_found("connection", connection_id)
        running = select(Job.id).where(Job.connection_id == connection_id, Job.status.in_(UNFINISHED))
        if session.scalar(running) is not None:
            raise sync_is_running(f"A sync is running for: {connection_id}; its state can be set when it is over.")
        drop_all_state(session, connection_id)
        store_checkpoints(session, connection_id, [Checkpoint(0, tuple(rows), {}, {})])
        session.flush()
        return _answer(session, connection_id)


def _parse(text: bytes) -> tuple[uuid.UUID, list[StateRow]]:
    try:
        orjson.loads(text)  # The spans below trust that it is JSON.
        body = members(text)
        connection_id = uuid.UUID(orjson.loads(body["connectionId"].of(text)))
        state = members(text, body["connectionState"].start)
        kind = orjson.loads(state["stateType"].of(text))
        return connection_id, list(_rows(text, kind, state))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise bad_request(f"not a connection's state as state/get gives it: {type(error).__name__} {error}") from error


def _rows(text: bytes, kind: str, state: dict[str, Span]) -> Iterator[StateRow]:
    if kind == "stream":
        yield from _stream_rows(text, state["streamState"])
    elif kind == "global":
        whole = members(text, state["globalState"].start)
        yield StateRow("global", ("", ""), whole["shared_state"].of(text))
        yield from _stream_rows(text, whole["streamStates"])
    elif kind == "legacy":
        yield StateRow("legacy", ("", ""), state["state"].of(text))
    elif kind != "not_set":
        raise ValueError(f"stateType {kind!r} is none of stream, global, legacy, not_set")


def _stream_rows(text: bytes, streams: Span) -> Iterator[StateRow]:
    for entry in elements(text, streams.start):
        stream = members(text, entry.start)
        descriptor = orjson.loads(stream["streamDescriptor"].of(text))
        yield StateRow(
            "stream", (descriptor.get("namespace") or "", descriptor["name"]), stream["streamState"].of(text)
        )


def _answer(session: Session, connection_id: uuid.UUID) -> Response:
    rows = list(session.scalars(select(StreamState).where(StreamState.connection_id == connection_id)))
    streams = [
        {
            "streamDescriptor": {"name": row.name, "namespace": row.namespace or None},
            "streamState": orjson.Fragment(row.state),
        }
        for row in rows
        if row.kind == "stream"
    ]
    answer: dict[str, Any] = {"stateType": "not_set", "connectionId": str(connection_id)}
    shared = next((row for row in rows if row.kind == "global"), None)
    legacy = next((row for row in rows if row.kind == "legacy"), None)
    if legacy is not None:
        answer.update(stateType="legacy", state=orjson.Fragment(legacy.state))
    elif shared is not None:
        whole = {"shared_state": orjson.Fragment(shared.state), "streamStates": streams}
        answer.update(stateType="global", globalState=whole)
    elif streams:
        answer.update(stateType="stream", streamState=streams)
    return Response(orjson.dumps(answer), media_type="application/json")
