"""A catalog of one stream, ``things``, and messages of it, as a destination is given them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

INTEGER = {"type": "integer"}
STRING = {"type": "string"}
NUMBER = {"type": "number"}
MOMENT = {"type": "string", "format": "date-time", "airbyte_type": "timestamp_with_timezone"}
DEDUP = {"id": INTEGER, "at": MOMENT, "v": STRING}

Query = Callable[[str], list[tuple[Any, ...]]]


def catalog(
    properties: dict[str, Any],
    mode: str = "append",
    *,
    sync: int = 1,
    generation: int = 1,
    truncate: bool = False,
    key: str | None = None,
    cursor: str | None = None,
    resumable: bool = False,
) -> dict[str, Any]:
    stream = {
        "name": "things",
        "json_schema": {"type": "object", "properties": properties},
        "supported_sync_modes": ["full_refresh"],
        "is_resumable": resumable,
    }
    return {
        "streams": [
            {
                "stream": stream,
                "sync_mode": "full_refresh",
                "destination_sync_mode": mode,
                "generation_id": generation,
                "minimum_generation_id": generation if truncate else 0,
                "sync_id": sync,
                "primary_key": [[key]] if key else [],
                "cursor_field": [cursor] if cursor else [],
            }
        ]
    }


def overwriting(properties: dict[str, Any], **given: Any) -> dict[str, Any]:
    return catalog(properties, "overwrite", truncate=True, **given)


def record(at: int = 1_700_000_000_000, /, **data: Any) -> dict[str, Any]:
    return {"type": "RECORD", "record": {"stream": "things", "emitted_at": at, "data": data}}


def state(position: int) -> dict[str, Any]:
    stream = {"stream_descriptor": {"name": "things"}, "stream_state": {"position": position}}
    return {"type": "STATE", "state": {"type": "STREAM", "stream": stream, "sourceStats": {"recordCount": 1.0}}}


def status(value: str) -> dict[str, Any]:
    body = {"stream_descriptor": {"name": "things"}, "status": value}
    return {"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1.0, "stream_status": body}}


COMPLETE = status("COMPLETE")


def messages(*parts: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(part).encode() + b"\n" for part in parts)
