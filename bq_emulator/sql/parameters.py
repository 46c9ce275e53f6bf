"""Query parameters of REST (``queryParameters``, ``parameterMode``)."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from bq_emulator.model import BigQueryError, Field
from bq_emulator.sql import types
from bq_emulator.sql.types import Type

#: REST's legacy spellings of types.
ALIASES = {
    "INTEGER": "INT64",
    "FLOAT": "FLOAT64",
    "BOOLEAN": "BOOL",
    "RECORD": "STRUCT",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}


@dataclass(frozen=True)
class Parameters:
    """``named`` by lower-case name, or ``positional`` in order; each a column of its type and a Python value,
    or the script's variable that holds it."""

    named: dict[str, tuple[Field, Any]] = field(default_factory=dict)
    positional: tuple[tuple[Field, Any], ...] = ()

    @classmethod
    def of(cls, request: dict[str, Any] | None) -> Parameters:
        """From REST's ``{"parameterMode": …, "queryParameters": […]}``.

        Raises:
            BigQueryError: invalid, naming the parameter whose type or value is wrong.
        """
        given = (request or {}).get("queryParameters") or []
        parsed = [
            (item.get("name") or "", _parse(item, item.get("name") or f"at position {position}"))
            for position, item in enumerate(given, 1)
        ]
        mode = (request or {}).get("parameterMode") or ("NAMED" if any(name for name, _ in parsed) else "POSITIONAL")
        if mode.upper() == "NAMED":
            return cls(named={name.lower(): value for name, value in parsed})
        return cls(positional=tuple(value for _, value in parsed))


def _parse(item: dict[str, Any], label: str) -> tuple[Field, Any]:
    column = _field(item.get("parameterType") or {}, label)
    kind = types.from_field(column)
    return column, _value(item.get("parameterValue") or {}, kind, label)


def _field(spec: dict[str, Any], name: str) -> Field:
    kind = ALIASES.get(str(spec.get("type", "")).upper(), str(spec.get("type", "")).upper())
    if kind == "ARRAY":
        inner = _field(spec.get("arrayType") or {}, name)
        return Field(name, inner.type, "REPEATED", inner.fields)
    if kind == "STRUCT":
        members = spec.get("structTypes") or []
        return Field(name, kind, fields=tuple(_field(each.get("type") or {}, each.get("name", "")) for each in members))
    return Field(name, kind)


def _value(spec: dict[str, Any], kind: Type, label: str) -> Any:
    if kind.name == "ARRAY":
        return [_value(item, kind.item, label) for item in spec.get("arrayValues") or []]
    if kind.name == "STRUCT":
        members = spec.get("structValues") or {}
        return tuple(_value(members.get(name) or {}, member, label) for name, member in kind.fields)
    raw = spec.get("value")
    if raw is None:
        return None
    try:
        return _scalar(str(raw), kind.name)
    except (ValueError, InvalidOperation):
        message = f"Invalid value for query parameter {label}: {raw!r} is not a valid {kind}"
        raise BigQueryError("invalid", message, "queryParameters") from None


def _scalar(raw: str, name: str) -> Any:
    if name == "INT64":
        return int(raw)
    if name == "FLOAT64":
        return float(raw)
    if name in ("NUMERIC", "BIGNUMERIC"):
        return Decimal(raw)
    if name == "BOOL":
        if raw.lower() not in ("true", "false"):
            raise ValueError(raw)
        return raw.lower() == "true"
    if name == "BYTES":
        return base64.b64decode(raw)
    if name == "DATE":
        return dt.date.fromisoformat(raw)
    if name == "TIME":
        return dt.time.fromisoformat(raw)
    if name == "DATETIME":
        return dt.datetime.fromisoformat(raw).replace(tzinfo=None)
    if name == "TIMESTAMP":
        parsed = dt.datetime.fromisoformat(raw.replace(" UTC", "+00:00"))
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    return raw
