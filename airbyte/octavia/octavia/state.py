"""A connection's cursor state in a file, so that a rebuilt server need not read everything again."""

from __future__ import annotations

from pathlib import Path

import orjson

from octavia.errors import OctaviaError

_KINDS = ("stream", "global", "legacy", "not_set")


def check(file: Path) -> bytes:
    """The text of a file that ``state export`` wrote.

    Raises:
        OctaviaError: it holds something else.
    """
    try:
        text = file.read_bytes()
        kind = orjson.loads(text)["stateType"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OctaviaError(f"{file} is not a state that `octavia state export` wrote: {error}") from error
    if kind not in _KINDS:
        raise OctaviaError(f"{file}: stateType is {kind!r}, should be one of {', '.join(_KINDS)}")
    return text


def summary(text: bytes) -> str:
    """What a state is of, for people: its kind and streams, none of its content."""
    state = orjson.loads(text)
    streams = state.get("streamState") or (state.get("globalState") or {}).get("streamStates") or []
    names = ", ".join(sorted(str(stream["streamDescriptor"]["name"]) for stream in streams)) or "no streams"
    return f"{state['stateType']} state of {names}"
