"""``GET /streams``: what a source has to offer."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query

from airbyte_server.api.requests import ServicesDep, SessionDep, existing_actor
from airbyte_server.catalog import field_paths, public_sync_modes

router = APIRouter(prefix="/streams", tags=["streams"])


@router.get("")
def get_stream_properties(
    session: SessionDep,
    services: ServicesDep,
    source_id: Annotated[uuid.UUID, Query(alias="sourceId")],
    destination_id: Annotated[uuid.UUID | None, Query(alias="destinationId")] = None,
    ignore_cache: Annotated[bool, Query(alias="ignoreCache")] = False,
) -> list[dict[str, Any]]:
    source = existing_actor(session, "source", source_id)
    if destination_id is not None:
        existing_actor(session, "destination", destination_id)
    catalog = services.discover(session, source, ignore_cache=ignore_cache).catalog
    return [
        {
            "streamName": stream["name"],
            # Lower case as on the platform.
            "streamnamespace": stream.get("namespace"),
            "syncModes": public_sync_modes(stream) if destination_id is not None else None,
            "defaultCursorField": stream.get("default_cursor_field") or [],
            "sourceDefinedCursorField": bool(stream.get("source_defined_cursor")),
            "sourceDefinedPrimaryKey": stream.get("source_defined_primary_key") or [],
            "propertyFields": field_paths(stream["json_schema"]),
        }
        for stream in catalog["streams"]
    ]
