"""A connection in octavia's YAML and in the public API's words: https://reference.airbyte.com/reference/createconnection"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from octavia.errors import Problem
from octavia.yamlfile import Document, KeyPath

SYNC_MODES = {
    ("full_refresh", "overwrite"): "full_refresh_overwrite",
    ("full_refresh", "append"): "full_refresh_append",
    ("full_refresh", "overwrite_dedup"): "full_refresh_overwrite_deduped",
    ("incremental", "append"): "incremental_append",
    ("incremental", "append_dedup"): "incremental_deduped_history",
}
"""(sync_mode, destination_sync_mode) → the API's syncMode."""

_NAMESPACE_DEFINITIONS = {"customformat": "custom_format"}
_SCHEMA_UPDATES = {"disable": "disable_connection"}
_STREAMS: KeyPath = ("configuration", "sync_catalog", "streams")


def uses_cursor(mode: str) -> bool:
    """Whether the API's ``mode`` reads from a cursor on."""
    return mode.startswith("incremental")


def uses_primary_key(mode: str) -> bool:
    """Whether the API's ``mode`` keeps one row per primary key."""
    return mode in ("incremental_deduped_history", "full_refresh_overwrite_deduped")


def problems(document: Document) -> Iterator[Problem]:
    """Faults of a connection that its JSON Schema cannot name; ``document`` has passed the schema."""
    configuration = document.value["configuration"]
    namespace_definition = configuration.get("namespace_definition", "destination")
    if namespace_definition.startswith("custom") and not configuration.get("namespace_format"):
        yield document.problem(
            ("configuration", "namespace_definition"), "needs namespace_format, for example ${SOURCE_NAMESPACE}"
        )
    seen: dict[tuple[str | None, str], int] = {}
    selected = 0
    for position, entry in enumerate(configuration["sync_catalog"]["streams"]):
        stream, config = entry["stream"], entry["config"]
        key: KeyPath = (*_STREAMS, position)
        identity = (stream.get("namespace"), stream["name"])
        if identity in seen:
            yield document.problem(
                (*key, "stream", "name"), f"stream {stream['name']!r} is already in line {seen[identity]}"
            )
        seen[identity] = document.lines[(*key, "stream", "name")]
        mode = (config["sync_mode"], config["destination_sync_mode"])
        if mode not in SYNC_MODES:
            pairs = ", ".join(f"{source} + {destination}" for source, destination in SYNC_MODES)
            yield document.problem(
                (*key, "config", "destination_sync_mode"),
                f"{mode[1]!r} does not go with sync_mode {mode[0]!r}; what goes: {pairs}",
            )
        if config.get("alias_name", stream["name"]) != stream["name"]:
            yield document.problem(
                (*key, "config", "alias_name"),
                "the public API cannot rename a stream: remove it, or use the connection's prefix",
            )
        selected += config.get("selected", True)
    if not selected:
        yield document.problem(_STREAMS, "no stream is selected; to pause the connection write status: inactive")


def desired(document: Document) -> dict[str, Any]:
    """The API's representation of a valid file, without ids.

    A cursor or primary key is sent only where the sync mode uses one; a stream that declares none leaves it to the
    source. What the file leaves out has the API's default, so that removing a line takes its setting back.
    """
    configuration = document.value["configuration"]
    namespace = configuration.get("namespace_definition", "destination")
    updates = configuration.get("non_breaking_changes_preference", "ignore")
    result: dict[str, Any] = {
        "name": document.value["resource_name"],
        "status": configuration.get("status", "active"),
        "prefix": configuration.get("prefix", ""),
        "namespaceDefinition": _NAMESPACE_DEFINITIONS.get(namespace, namespace),
        "nonBreakingSchemaUpdatesBehavior": _SCHEMA_UPDATES.get(updates, updates),
        "schedule": {"scheduleType": configuration["schedule_type"]},
        "configurations": {
            "streams": [
                _stream(entry["stream"], entry["config"])
                for entry in configuration["sync_catalog"]["streams"]
                if entry["config"].get("selected", True)
            ]
        },
    }
    if result["namespaceDefinition"] == "custom_format":
        result["namespaceFormat"] = configuration["namespace_format"]
    if configuration["schedule_type"] == "cron":
        expression = configuration["schedule_data"]["cron"]["cron_expression"]
        result["schedule"]["cronExpression"] = without_zone(expression)
    return result


def without_zone(expression: str) -> str:
    """A cron expression without the ``UTC`` that the API adds to its answers."""
    return expression.strip().removesuffix("UTC").rstrip()


def _stream(stream: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    mode = SYNC_MODES[config["sync_mode"], config["destination_sync_mode"]]
    result: dict[str, Any] = {"name": stream["name"], "syncMode": mode}
    if stream.get("namespace"):
        result["namespace"] = stream["namespace"]
    if uses_cursor(mode) and config.get("cursor_field"):
        result["cursorField"] = config["cursor_field"]
    if uses_primary_key(mode) and config.get("primary_key"):
        result["primaryKey"] = config["primary_key"]
    if config.get("field_selection_enabled"):
        result["selectedFields"] = [{"fieldPath": entry["field_path"]} for entry in config["selected_fields"]]
    return result
