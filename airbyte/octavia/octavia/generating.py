"""New files to begin from: an actor's from its connector's specification, a connection's from what the source has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from octavia import scaffold
from octavia.api import Json
from octavia.errors import OctaviaError
from octavia.project import Kind
from octavia.scaffold import Quoted

_INDENT = "  "


def find_definition(kind: Kind, definitions: list[Json], wanted: str) -> Json:
    """The connector with this id, name or image.

    Raises:
        OctaviaError: there is none, or several.
    """
    found = [
        one
        for one in definitions
        if wanted.lower() in (one["id"].lower(), one["name"].lower(), one["dockerRepository"].lower())
    ]
    if len(found) != 1:
        known = ", ".join(sorted(one["name"] for one in definitions)) or "none"
        raise OctaviaError(f"{len(found) or 'no'} {kind} connectors are {wanted!r}; the server has: {known}")
    return found[0]


def read_spec(text: str) -> Json:
    """The ``connectionSpecification`` out of what a connector's ``spec`` command prints, or out of a plain one.

    Raises:
        OctaviaError: it is neither.
    """
    for line in [text, *text.splitlines()]:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            message = message.get("spec", message)
            found = message.get("connectionSpecification", message)
            if isinstance(found, dict) and isinstance(found.get("properties"), dict):
                return found
    raise OctaviaError("--spec: no specification in it; give what the connector prints for its command `spec`")


def actor(kind: Kind, name: str, definition: Json, spec: Json | None) -> str:
    """A file's text: what is required with its default or a variable, what is optional as comments."""
    head = scaffold.to_yaml(
        {
            "resource_name": name,
            "definition_type": kind,
            "definition_id": definition["id"],
            "definition_image": definition["dockerRepository"],
        }
    )
    if spec is None:
        where = definition.get("documentationUrl") or "its documentation"
        return (
            f"{head}# The public API does not show what this connector can be told: see {where}\nconfiguration: {{}}\n"
        )
    return head + "configuration:\n" + "\n".join(_properties(spec, _INDENT, (name,))) + "\n"


def _properties(schema: Json, indent: str, path: tuple[str, ...]) -> Iterator[str]:
    """The YAML lines of an object's properties."""
    required = schema.get("required") or []
    properties = schema.get("properties") or {}
    for name, field in sorted(properties.items(), key=lambda item: (item[1].get("order", 999), item[0])):
        yield from _comment(name, field, indent, required=name in required)
        lines = list(_property(name, field, indent, (*path, name)))
        yield from lines if name in required else [f"{indent}# {line.removeprefix(indent)}" for line in lines]


def _comment(name: str, field: Json, indent: str, *, required: bool) -> Iterator[str]:
    # Descriptions are written for a web page.
    text = " ".join(str(field.get("description") or field.get("title") or "").split())
    kind = "required" if required else "optional"
    yield f"{indent}# {kind}{', secret' if field.get('airbyte_secret') else ''}{': ' if text else ''}{text}"


def _property(name: str, field: Json, indent: str, path: tuple[str, ...]) -> Iterator[str]:
    options = field.get("oneOf")
    if options or field.get("properties"):
        default = (field.get("default") or {}) if isinstance(field.get("default"), dict) else {}
        chosen = _option(options, default) if options else field
        yield f"{indent}{name}:"
        if options and len(options) > 1:
            yield f"{indent}{_INDENT}# one of: {', '.join(str(option.get('title')) for option in options)}"
        yield from _properties(chosen, indent + _INDENT, path)
        return
    value = _value(field, path)
    yield from (indent + line for line in scaffold.to_yaml({name: value}).rstrip("\n").split("\n"))


def _option(options: list[Json], default: Mapping[str, Any]) -> Json:
    """The option that ``default`` describes, else the first."""
    for option in options:
        if default and all(option.get("properties", {}).get(k, {}).get("const") == v for k, v in default.items()):
            return option
    return options[0]


def _value(field: Json, path: tuple[str, ...]) -> Any:
    if field.get("airbyte_secret"):
        return Quoted(f"${{{scaffold.variable(*path)}}}")
    for key in ("const", "default"):
        if key in field:
            return scaffold.literal(field[key])
    if field.get("enum"):
        return scaffold.literal(field["enum"][0])
    if field.get("type") == "array":
        return []
    reference = f"${{{scaffold.variable(*path)}}}"
    return Quoted(reference) if field.get("type") in ("string", None) else _Plain(reference)


class _Plain(str):
    """A variable whose value takes the type it looks like."""


scaffold.Dumper.add_representer(
    _Plain, lambda dumper, text: yaml.ScalarNode("tag:yaml.org,2002:str", str(text), style=None)
)


def connection(name: str, streams: list[Json], paths: Mapping[Kind, str]) -> str:
    """A file's text: every stream the source has, in the best mode that needs no decision of a person."""
    head = scaffold.to_yaml(
        {
            "resource_name": name,
            "definition_type": "connection",
            "source_configuration_path": paths["source"],
            "destination_configuration_path": paths["destination"],
            "configuration": {
                "status": "active",
                "namespace_definition": "destination",
                "prefix": "",
                "non_breaking_changes_preference": "ignore",
                "schedule_type": "manual",
            },
        }
    )
    lines = [f"{_INDENT}sync_catalog:", f"{_INDENT * 2}streams:"]
    for stream in sorted(streams, key=lambda one: (one.get("streamnamespace") or "", one["streamName"])):
        fields = ", ".join(path[0] for path in stream.get("propertyFields") or [] if len(path) == 1)
        lines.append(f"{_INDENT * 3}# {fields}")
        entry = scaffold.to_yaml([_stream(stream)]).rstrip("\n")
        lines += [_INDENT * 3 + line for line in entry.split("\n")]
    return head + "\n".join(lines) + "\n"


def _stream(stream: Json) -> Json:
    identity = {"name": stream["streamName"]}
    if stream.get("streamnamespace"):
        identity["namespace"] = stream["streamnamespace"]
    keys = stream.get("sourceDefinedPrimaryKey") or []
    cursor = stream.get("sourceDefinedCursorField") or stream.get("defaultCursorField")
    modes = stream.get("syncModes") or []
    config: Json = {"sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
    # Which column a table's changes can be followed by is for a person to say; some sources know.
    if cursor and keys and "incremental_deduped_history" in modes:
        config = {"sync_mode": "incremental", "destination_sync_mode": "append_dedup"}
    elif cursor and "incremental_append" in modes:
        config = {"sync_mode": "incremental", "destination_sync_mode": "append"}
    return {"stream": identity, "config": config}
