"""Reading what a process writes, many lines at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

import orjson

_READ_BYTES = 1 << 20


def line_batches(pipe: Any, on_fragment: Callable[[bytes], None] | None = None) -> Iterator[list[bytes]]:
    """The lines of a pipe as they come, many at a time.

    A last line without a line end is given too, unless it goes to ``on_fragment``: a message cut short by a crash.
    """
    rest: list[bytes] = []
    while chunk := os.read(pipe.fileno(), _READ_BYTES):
        head, newline, tail = chunk.rpartition(b"\n")
        if not newline:
            rest.append(chunk)
            continue
        yield (b"".join([*rest, head])).split(b"\n")
        rest = [tail] if tail else []
    last = b"".join(rest)
    if last and on_fragment is not None and not _is_json(last):
        on_fragment(last)
    elif last:
        yield [last]


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def enlarge(pipe: Any) -> None:
    """Fewer switches between processes with a bigger pipe; only Linux can, and only up to the user's limit."""
    if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _READ_BYTES)
