"""``configuration.<environment>.yaml`` beside ``configuration.yaml``: what differs in that environment, merged over it.

A mapping is merged key by key and ``null`` takes a key out; the streams of a catalog are merged by name and namespace;
anything else is replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from octavia.yamlfile import Document, KeyPath


def file_of(file: Path, environment: str) -> Path:
    """The overlay's path beside a ``configuration.yaml``; it need not exist."""
    return file.with_name(f"{file.stem}.{environment}{file.suffix}")


def environments(file: Path) -> set[str]:
    """The environments that ``file`` has an overlay for."""
    return {found.stem.split(".", 1)[1] for found in file.parent.glob(f"{file.stem}.*{file.suffix}")}


def merge(base: Document, over: Document) -> Document:
    """``over`` laid on ``base``, which is changed and given back; every key remembers the file and line it is from."""
    base.value = _merge(base, (), base.value, over, (), over.value)
    base.secret_values |= over.secret_values
    return base


def _merge(base: Document, key: KeyPath, old: Any, over: Document, over_key: KeyPath, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        result = dict(old)
        for name, value in new.items():
            if value is None:
                result.pop(name, None)
            elif name in old:
                result[name] = _merge(base, (*key, name), old[name], over, (*over_key, name), value)
            else:
                result[name] = value
                _adopt(base, (*key, name), over, (*over_key, name))
        return result
    if key[-1:] == ("streams",) and isinstance(old, list) and isinstance(new, list):
        return _merge_streams(base, key, old, over, over_key, new)
    _adopt(base, key, over, over_key)
    return new


def _merge_streams(
    base: Document, key: KeyPath, old: list[Any], over: Document, over_key: KeyPath, new: list[Any]
) -> list[Any]:
    result = list(old)
    places = {_identity(entry): position for position, entry in enumerate(old)}
    for position, entry in enumerate(new):
        place = places.get(_identity(entry))
        if place is None:
            _adopt(base, (*key, len(result)), over, (*over_key, position))
            result.append(entry)
        else:
            result[place] = _merge(base, (*key, place), result[place], over, (*over_key, position), entry)
    return result


def _identity(entry: Any) -> tuple[Any, Any]:
    """What tells streams apart; a malformed entry is like none, and the schema will name it."""
    stream = entry.get("stream") if isinstance(entry, dict) else None
    return (stream.get("name"), stream.get("namespace")) if isinstance(stream, dict) else (None, id(entry))


def _adopt(base: Document, key: KeyPath, over: Document, over_key: KeyPath) -> None:
    """Let ``base`` know ``key`` and what is below it as ``over`` knows ``over_key``."""
    for ours in (base.lines, base.written, base.variables, base.origins):
        for known in [known for known in ours if known[: len(key)] == key]:
            del ours[known]  # type: ignore[attr-defined]
    for known, line in over.lines.items():
        if known[: len(over_key)] == over_key:
            place = key + known[len(over_key) :]
            base.lines[place] = line
            base.origins[place] = over.file
            if known in over.written:
                base.written[place] = over.written[known]
                base.variables[place] = over.variables[known]
