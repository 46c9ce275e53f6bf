"""What a workspace has, as files: the reverse of applying them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from octavia import connection, diff, scaffold
from octavia.api import Airbyte, Json
from octavia.plan import by_name, find
from octavia.project import KINDS, Kind, Project
from octavia.scaffold import Quoted
from octavia.secrets import is_masked

_MODES = {mode: pair for pair, mode in connection.SYNC_MODES.items()}


@dataclass
class Imported:
    """One written file. ``variables`` are to be set to the secrets; ``notes`` say what the file cannot hold."""

    file: Path
    kind: Kind
    name: str
    variables: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(
    directory: Path, airbyte: Airbyte, declared: Project | None, wanted: tuple[Kind, str] | None, *, force: bool
) -> Iterator[Imported]:
    """Write the workspace's resources, or the one ``wanted`` (kind, name or id), into files.

    What ``declared`` has is left as it is, unless it is wanted by name. A connection brings its source and destination.

    Raises:
        OctaviaError: no such resource, or a file is there already and not ``force``.
    """
    remote = {kind: airbyte.list(kind) for kind in KINDS}
    files: dict[tuple[Kind, str], Path] = {}
    if declared is not None:
        for resource in declared.resources:
            files[resource.kind, resource.name] = resource.document.file
    chosen = [(kind, entry) for kind in KINDS for entry in remote[kind] if (kind, entry["name"]) not in files]
    if wanted is not None:
        kind, name = wanted
        entry = find(kind, remote[kind], name)
        ends = [
            (end, other)
            for end in KINDS[:2]
            for other in remote[end]
            if kind == "connection" and other[f"{end}Id"] == entry[f"{end}Id"] and (end, other["name"]) not in files
        ]
        chosen = [*ends, (kind, entry)]
    for kind, entry in chosen:
        by_name(kind, remote[kind], entry["name"])  # Two of a name could not be told apart by their files.
        file = files.get((kind, entry["name"])) or _free(scaffold.file_for(directory, kind, entry["name"]), files)
        whole = airbyte.get(kind, str(entry[f"{kind}Id"]))
        imported = Imported(file, kind, str(entry["name"]))
        content = (
            _connection(imported, whole, remote, files, directory)
            if kind == "connection"
            else _actor(imported, whole, airbyte)
        )
        scaffold.write(directory, file, scaffold.to_yaml(content), force=force)
        files[kind, imported.name] = file
        yield imported


def _free(file: Path, files: Mapping[tuple[Kind, str], Path]) -> Path:
    """``file``, or one beside it where another resource's name reads the same as a folder's."""
    taken, candidate, number = set(files.values()), file, 2
    while candidate in taken:
        candidate = file.parent.with_name(f"{file.parent.name}_{number}") / file.name
        number += 1
    return candidate


def _actor(imported: Imported, whole: Json, airbyte: Airbyte) -> Json:
    definition_id = str(whole["definitionId"])
    definition = next((one for one in airbyte.definitions(imported.kind) if one["id"] == definition_id), {})
    content = {
        "resource_name": imported.name,
        "definition_type": imported.kind,
        "definition_id": definition_id,
        "definition_image": definition.get("dockerRepository"),
        "configuration": _without_secrets(imported, diff.configuration(whole), (imported.name,)),
    }
    return {name: value for name, value in content.items() if value is not None}


def _without_secrets(imported: Imported, value: Any, key: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {name: _without_secrets(imported, inner, (*key, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(imported, inner, (*key, str(place))) for place, inner in enumerate(value)]
    if is_masked(value):
        name = scaffold.variable(*key)
        imported.variables.append(name)
        return Quoted(f"${{{name}}}")
    return scaffold.literal(value)


def _connection(
    imported: Imported,
    whole: Json,
    remote: Mapping[Kind, list[Json]],
    files: Mapping[tuple[Kind, str], Path],
    directory: Path,
) -> Json:
    paths = {}
    for kind in KINDS[:2]:
        end = next(entry for entry in remote[kind] if entry[f"{kind}Id"] == whole[f"{kind}Id"])
        paths[kind] = files[kind, str(end["name"])].relative_to(directory).as_posix()
    namespace = whole.get("namespaceDefinition") or "destination"
    configuration: Json = {
        "status": whole["status"],
        "namespace_definition": namespace,
        # Airbyte's own variable, which is kept as it stands.
        "namespace_format": whole.get("namespaceFormat") if namespace == "custom_format" else None,
        "prefix": scaffold.literal(whole.get("prefix") or ""),
        "non_breaking_changes_preference": whole.get("nonBreakingSchemaUpdatesBehavior") or "ignore",
        **_schedule(imported, whole.get("schedule") or {}),
        "sync_catalog": {"streams": [_stream(stream) for stream in whole["configurations"]["streams"]]},
    }
    return {
        "resource_name": imported.name,
        "definition_type": "connection",
        "source_configuration_path": paths["source"],
        "destination_configuration_path": paths["destination"],
        "configuration": {name: value for name, value in configuration.items() if value is not None},
    }


def _schedule(imported: Imported, schedule: Json) -> Json:
    kind = schedule.get("scheduleType", "manual")
    if kind == "cron":
        expression = connection.without_zone(schedule["cronExpression"])
        return {"schedule_type": "cron", "schedule_data": {"cron": {"cron_expression": expression}}}
    if kind != "manual":
        imported.notes.append(
            f"its schedule {schedule.get('basicTiming') or kind!r} cannot be set by the public API: the file says "
            "manual, and applying it would end the schedule; write it as cron first"
        )
    return {"schedule_type": "manual"}


def _stream(stream: Json) -> Json:
    mode = stream.get("syncMode") or "full_refresh_overwrite"
    sync_mode, destination_sync_mode = _MODES[mode]
    config: Json = {"sync_mode": sync_mode, "destination_sync_mode": destination_sync_mode}
    if connection.uses_cursor(mode) and stream.get("cursorField"):
        config["cursor_field"] = stream["cursorField"]
    if connection.uses_primary_key(mode) and stream.get("primaryKey"):
        config["primary_key"] = stream["primaryKey"]
    if stream.get("selectedFields"):
        config["field_selection_enabled"] = True
        config["selected_fields"] = [{"field_path": entry["fieldPath"]} for entry in stream["selectedFields"]]
    identity = {"name": stream["name"], "namespace": stream.get("namespace")}
    return {"stream": {name: value for name, value in identity.items() if value}, "config": scaffold.literal(config)}
