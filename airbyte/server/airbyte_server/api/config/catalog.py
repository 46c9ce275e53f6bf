"""A connection's streams in the Config API's words (``syncCatalog``), to and from their stored form."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from pydantic.alias_generators import to_camel

from airbyte_server.api.public.connections import SelectedField
from airbyte_server.api.requests import Body
from airbyte_server.catalog import SYNC_MODES, SyncMode
from airbyte_server.errors import bad_request


class StreamDescription(Body):
    name: str
    namespace: str | None = None


class StreamConfiguration(Body):
    sync_mode: str = "full_refresh"
    destination_sync_mode: str = "overwrite"
    cursor_field: list[str] | None = None
    primary_key: list[list[str]] | None = None
    selected: bool = True
    field_selection_enabled: bool = False
    selected_fields: list[SelectedField] | None = None
    mappers: list[Any] | None = None


class CatalogEntry(Body):
    stream: StreamDescription
    config: StreamConfiguration = Field(default_factory=StreamConfiguration)


class Catalog(Body):
    streams: Annotated[list[CatalogEntry], Field(max_length=100_000)]


def _destination_word(mode: SyncMode) -> str:
    """The Config API has a word for replacing and deduplicating at once that the protocol lacks."""
    return "overwrite_dedup" if mode.truncates and mode.dedups else mode.destination


_PUBLIC_MODES = {(mode.source, _destination_word(mode)): name for name, mode in SYNC_MODES.items()}


def catalog_stream(stream: dict[str, Any]) -> dict[str, Any]:
    """An AirbyteStream with the Config API's keys."""
    return {to_camel(key): value for key, value in stream.items()}


def stream_configuration(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored stream's AirbyteStreamConfiguration."""
    mode = SYNC_MODES[stored["syncMode"]]
    return {
        "syncMode": mode.source,
        "destinationSyncMode": _destination_word(mode),
        "cursorField": stored["cursorField"],
        "primaryKey": stored["primaryKey"],
        "aliasName": stored["name"],
        "selected": True,
        "fieldSelectionEnabled": stored["selectedFields"] is not None,
        "selectedFields": stored["selectedFields"] or [],
    }


def public_streams(catalog: Catalog) -> list[dict[str, Any]]:
    """The selected streams in the public API's words. Raises a 400 problem for an unknown pair of modes."""
    return [_public_stream(entry) for entry in catalog.streams if entry.config.selected]


def _public_stream(entry: CatalogEntry) -> dict[str, Any]:
    config = entry.config
    pair = (config.sync_mode, config.destination_sync_mode)
    if pair not in _PUBLIC_MODES:
        valid = ", ".join(f"{source} | {destination}" for source, destination in _PUBLIC_MODES)
        raise bad_request(
            f"Stream {entry.stream.name}: {' | '.join(pair)} is no pair of sync modes; valid are: {valid}."
        )
    selected_fields = [field.model_dump(by_alias=True) for field in config.selected_fields or []]
    return {
        "name": entry.stream.name,
        "namespace": entry.stream.namespace,
        "syncMode": _PUBLIC_MODES[pair],
        "cursorField": config.cursor_field,
        "primaryKey": config.primary_key,
        "selectedFields": selected_fields if config.field_selection_enabled else None,
        "mappers": config.mappers,
    }
