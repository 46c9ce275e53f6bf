"""What the repo's files declare, beside what the server has: octavia's reading and octavia's comparison."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from octavia import connection, overlay, project, schema, yamlfile
from octavia.connection import uses_cursor, uses_primary_key
from octavia.diff import Change, Difference, actor_difference, connection_difference
from octavia.errors import InvalidFiles
from octavia.secrets import redact
from octavia.yamlfile import Document

_STREAMS = ("configuration", "sync_catalog", "streams")


@dataclass(frozen=True)
class Declaration:
    """One file. ``text`` is the file without its secrets; ``document`` is None where there are ``problems``."""

    file: str
    name: str
    text: str
    document: Document | None
    problems: list[str] = field(default_factory=list)

    def connection_changes(self, applied: Mapping[str, Any]) -> list[Change]:
        """How the server's connection (the public API's answer) differs. ``document`` must be there."""
        assert self.document is not None  # noqa: S101
        return connection_difference(connection.desired(self.document), applied)

    def actor_difference(self, applied: Mapping[str, Any]) -> Difference:
        assert self.document is not None  # noqa: S101
        return actor_difference(self.document, applied)

    def reasons(self) -> dict[tuple[str, str], str]:
        """Why each stream is replicated as it is: the comment above its entry, by (namespace, name)."""
        if self.document is None:
            return {}
        lines = self.text.splitlines()
        found = {}
        for position, entry in enumerate(self.document.value["configuration"]["sync_catalog"]["streams"]):
            key = (*_STREAMS, position)
            if key in self.document.lines and key not in self.document.origins:
                stream = entry["stream"]
                found[stream.get("namespace") or "", stream["name"]] = _comment_above(lines, self.document.lines[key])
        return {stream: text for stream, text in found.items() if text}


def _comment_above(lines: list[str], line: int) -> str:
    """The comment that ends right above a line (from 1), as one paragraph."""
    first = line - 1
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(text.lstrip().removeprefix("#").strip() for text in lines[first : line - 1])


class Declarations:
    """The files of a project folder, read again when one of them has changed."""

    def __init__(self, directory: Path | None, variables: Mapping[str, str] = os.environ) -> None:
        self._directory = directory
        self._variables = variables
        self._read: dict[tuple[Path, str], tuple[Any, Declaration]] = {}

    @property
    def is_given(self) -> bool:
        return self._directory is not None

    def find(self, kind: project.Kind, name: str) -> Declaration | None:
        """The file that declares the resource; a broken one is found by its folder's name."""
        return next((found for found in self._all(kind) if found.name == name), None)

    def by_name(self, kind: project.Kind) -> dict[str, Declaration]:
        return {found.name: found for found in self._all(kind)}

    def _all(self, kind: project.Kind) -> list[Declaration]:
        if self._directory is None:
            return []
        return [
            self._declaration(file, kind)
            for file in project.files(self._directory)
            if file.parent.parent.name == f"{kind}s"
        ]

    def _declaration(self, file: Path, kind: project.Kind) -> Declaration:
        environment = self._variables.get("OCTAVIA_ENVIRONMENT", "")
        over = overlay.file_of(file, environment) if environment else None
        versions = [path.stat().st_mtime_ns for path in (file, over) if path and path.is_file()]
        key = (file, environment)
        if key not in self._read or self._read[key][0] != versions:
            self._read[key] = (versions, self._read_file(file, over, kind))
        return self._read[key][1]

    def _read_file(self, file: Path, over: Path | None, kind: project.Kind) -> Declaration:
        assert self._directory is not None  # noqa: S101 - what _all has seen to
        shown = str(Path(self._directory.name) / file.relative_to(self._directory))
        text = file.read_text(encoding="utf-8", errors="replace")
        try:
            document = yamlfile.read(file, self._variables)
            if over is not None and over.is_file():
                document = overlay.merge(document, yamlfile.read(over, self._variables))
            problems = schema.problems(document, kind)
            if kind == "connection" and not problems:
                problems = list(connection.problems(document))
            if problems:
                raise InvalidFiles(problems)
        except InvalidFiles as error:
            # Of a file that cannot be read as a whole nobody knows what in it is secret.
            found = [f"line {one.line}: {one.key} {one.message}" for one in error.problems]
            return Declaration(shown, file.parent.name, "", None, found)
        return Declaration(shown, document.value["resource_name"], redact(text, document.secret_values), document)


@dataclass(frozen=True)
class Line:
    """A line of both texts side by side; ``None`` where one of them has none."""

    left: str | None
    right: str | None

    @property
    def differs(self) -> bool:
        return self.left != self.right


def side_by_side(declaration: Declaration, applied: Mapping[str, Any]) -> list[Line]:
    """The declared connection and the server's, in the same words; the same stream is beside itself."""
    assert declaration.document is not None  # noqa: S101
    desired = connection.desired(declaration.document)
    left, right = _blocks(desired), _blocks(_comparable(applied, desired))
    return [line for key in sorted({*left, *right}) for line in _beside(left.get(key, []), right.get(key, []))]


def _beside(left: list[str], right: list[str]) -> Iterator[Line]:
    for kind, a, b, c, d in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from (Line(text, text) for text in left[a:b])
        else:
            yield from (Line(*pair) for pair in zip_longest(left[a:b], right[c:d]))


def _comparable(applied: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
    """The server's answer with what a file can say: where a stream's file leaves something open, so does this."""
    declared = {stream["name"]: stream for stream in desired["configurations"]["streams"]}
    schedule = dict(applied["schedule"])
    if "cronExpression" in schedule:
        schedule["cronExpression"] = connection.without_zone(schedule["cronExpression"])
    result = {name: {**applied, "schedule": schedule}.get(name) for name in desired}
    streams = []
    for stream in applied["configurations"]["streams"]:
        beside = declared.get(stream["name"])
        shown = {"name": stream["name"], "syncMode": stream["syncMode"]}
        if stream.get("namespace") and (beside is None or beside.get("namespace")):
            shown["namespace"] = stream["namespace"]
        if uses_cursor(stream["syncMode"]) and (beside is None or beside.get("cursorField")):
            shown["cursorField"] = stream["cursorField"]
        if uses_primary_key(stream["syncMode"]) and (beside is None or beside.get("primaryKey")):
            shown["primaryKey"] = stream["primaryKey"]
        if stream.get("selectedFields"):
            shown["selectedFields"] = stream["selectedFields"]
        streams.append(shown)
    return {**result, "configurations": {"streams": streams}}


def _blocks(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """The lines of YAML that say the settings (under an empty key) and each stream, columns as people write them."""
    settings = {name: value for name, value in content.items() if name != "configurations"}
    blocks = {"": _yaml(settings)}
    for stream in content["configurations"]["streams"]:
        name = f"{stream['name']} {stream.get('namespace', '')}"
        blocks[name] = _yaml({"stream": {key: _columns(value) for key, value in stream.items()}})
    return blocks


def _yaml(value: Any) -> list[str]:
    return str(yaml.safe_dump(value, allow_unicode=True, width=100, sort_keys=False)).splitlines()


def _columns(value: Any) -> Any:
    """``[a, b]`` as ``a.b``; ``[[a], [b]]`` and ``[{fieldPath: [a]}, …]`` as ``a, b``."""
    if not isinstance(value, list):
        return value
    if all(isinstance(part, str) for part in value):
        return ".".join(value)
    return ", ".join(sorted(".".join(part["fieldPath"] if isinstance(part, dict) else part) for part in value))
