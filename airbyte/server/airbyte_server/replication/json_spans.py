"""Where the parts of a JSON text begin and end, so that a message can be changed without re-encoding its values.

Decoding and encoding a record or a state would lose digits of numbers wider than a double. These functions trust that
the text is valid JSON; on anything else they raise :class:`ValueError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]}\s]+")
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)


@dataclass(frozen=True)
class Span:
    """``text[start:end]`` is one JSON value; for a member of an object, ``key_start`` is where its key's quote is."""

    start: int
    end: int
    key_start: int = -1

    def of(self, text: bytes) -> bytes:
        return text[self.start : self.end]


def members(text: bytes, start: int = 0) -> dict[str, Span]:
    """The members of the object that begins at ``start`` (after white space)."""
    position = _skip(text, start)
    if text[position : position + 1] != b"{":
        raise ValueError("not a JSON object")
    found: dict[str, Span] = {}
    position = _skip(text, position + 1)
    while text[position : position + 1] != b"}":
        key = _match(_STRING, text, position)
        colon = _skip(text, key.end())
        if text[colon : colon + 1] != b":":
            raise ValueError("a JSON key without a value")
        value = _skip(text, colon + 1)
        end = _value_end(text, value)
        found[orjson.loads(key.group())] = Span(value, end, key.start())
        position = _after_separator(text, end, b"}")
    return found


def elements(text: bytes, start: int) -> Iterator[Span]:
    """The elements of the array that begins at ``start``."""
    if text[start : start + 1] != b"[":
        raise ValueError("not a JSON array")
    position = _skip(text, start + 1)
    while text[position : position + 1] != b"]":
        end = _value_end(text, position)
        yield Span(position, end)
        position = _after_separator(text, end, b"]")


def splice(text: bytes, replacements: list[tuple[int, int, bytes]]) -> bytes:
    """``text`` with each ``(start, end, new)`` replaced; they must not overlap."""
    parts, position = [], 0
    for start, end, new in sorted(replacements, key=lambda replacement: replacement[0]):
        parts += [text[position:start], new]
        position = end
    return b"".join([*parts, text[position:]])


def _skip(text: bytes, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]  # matches the empty string


def _match(pattern: re.Pattern[bytes], text: bytes, position: int) -> re.Match[bytes]:
    match = pattern.match(text, position)
    if match is None:
        raise ValueError(f"not valid JSON at byte {position}")
    return match


def _value_end(text: bytes, start: int) -> int:
    first = text[start : start + 1]
    if first == b'"':
        return _match(_STRING, text, start).end()
    if first not in (b"{", b"["):
        return _match(_SCALAR, text, start).end()
    depth = 0
    for token in _STRUCTURE.finditer(text, start):
        if token.group() in (b"{", b"["):
            depth += 1
        elif token.group() in (b"}", b"]"):
            depth -= 1
            if depth == 0:
                return token.end()
    raise ValueError("a JSON value does not end")


def _after_separator(text: bytes, position: int, closing: bytes) -> int:
    position = _skip(text, position)
    following = text[position : position + 1]
    if following == b",":
        return _skip(text, position + 1)
    if following == closing:
        return position
    raise ValueError(f"not valid JSON at byte {position}")
