"""Where messages come from: lines on stdin, and, where the platform offers it, Arrow frames on a socket beside them.

The contract of the socket is in docs/data-channel.md.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import orjson

from destination_bigquery.errors import ConnectorError

#: Frames that wait for their state hold the source back at this size, and are passed on without one.
_WAITING_BYTES = 4 << 20
_WAITING_LINES = 1000


@dataclass(frozen=True)
class Frame:
    """Records of one stream. ``body`` is an Arrow IPC stream, ``emitted_at`` in milliseconds."""

    stream: str
    namespace: str | None
    emitted_at: int
    rows: int
    seq: int
    body: bytes

    @property
    def key(self) -> tuple[str, str | None]:
        return self.stream, self.namespace


def offered() -> str | None:
    """The socket's path where the platform offers the Arrow channel.

    Raises:
        ConnectorError: config_error for an offer that this connector did not advertise.
    """
    medium = os.environ.get("DATA_CHANNEL_MEDIUM", "STDIO")
    form = os.environ.get("DATA_CHANNEL_FORMAT", "JSONL")
    paths = [path for path in os.environ.get("DATA_CHANNEL_SOCKET_PATHS", "").split(",") if path]
    if medium == "STDIO" and form == "JSONL":
        return None
    if (medium, form, len(paths)) != ("SOCKET", "ARROW", 1):
        raise ConnectorError(
            f"DATA_CHANNEL_MEDIUM={medium}, DATA_CHANNEL_FORMAT={form} with {len(paths)} DATA_CHANNEL_SOCKET_PATHS is "
            "not supported: this connector reads STDIO with JSONL, or SOCKET with ARROW and one path."
        )
    return paths[0]


def frames(connection: BinaryIO) -> Iterator[Frame]:
    """The frames up to the end of file.

    Raises:
        ConnectorError: system_error for a stream cut short within a frame, or a header that is none.
    """
    while header := connection.readline():
        try:
            given = orjson.loads(header)
            size = given["bytes"]
            namespace = given.get("namespace") or None
            named = (given["stream"], namespace, int(given["emitted_at"]), int(given["rows"]), int(given["seq"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ConnectorError(f"A frame's header is not one: {header[:200]!r}", "system_error") from error
        body = connection.read(size)
        if len(body) != size:
            raise ConnectorError(
                f"The data channel ended {size - len(body)} bytes before the end of frame {named[4]}.", "system_error"
            )
        yield Frame(*named, body)


class Merge:
    """Lines and frames in the order that the states' ``arrow_seq`` gives. Iterate once."""

    def __init__(self, lines: Iterable[bytes], path: str) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        try:
            self._connection.connect(path)
        except OSError as error:
            raise ConnectorError(f"The data channel {path} cannot be opened: {error}", "system_error") from error
        self._lines: deque[bytes] = deque()
        self._frames: deque[Frame] = deque()
        self._waiting_bytes = 0
        self._last_seq = 0
        self._ended: set[str] = set()
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        for name, target in (
            ("lines", lines),
            ("frames", frames(cast(BinaryIO, self._connection.makefile("rb", 1 << 20)))),
        ):
            threading.Thread(target=self._read, args=(name, target), name=f"reader of {name}", daemon=True).start()

    def _read(self, name: str, messages: Iterable[bytes | Frame]) -> None:
        try:
            for message in messages:
                with self._changed:
                    if isinstance(message, Frame):
                        if message.seq <= self._last_seq:
                            raise ConnectorError(
                                f"Frame {message.seq} came after {self._last_seq}: out of order.", "system_error"
                            )
                        self._last_seq = message.seq
                        self._frames.append(message)
                        self._waiting_bytes += len(message.body)
                    else:
                        self._lines.append(message)
                    self._changed.notify_all()
                    self._changed.wait_for(self._room)
        except BaseException as error:  # raised again by the thread that iterates
            with self._changed:
                self._failure = error
        finally:
            with self._changed:
                self._ended.add(name)
                self._changed.notify_all()

    def _room(self) -> bool:
        return self._waiting_bytes < 2 * _WAITING_BYTES and len(self._lines) < _WAITING_LINES

    def _ready(self) -> bool:
        full = self._waiting_bytes >= _WAITING_BYTES
        return bool(self._lines) or full or len(self._ended) == 2 or self._failure is not None

    def __iter__(self) -> Iterator[bytes | Frame]:
        while True:
            with self._changed:
                self._changed.wait_for(self._ready)
                if self._failure:
                    raise self._failure
                if not self._lines and not self._frames:
                    return
                line = self._lines.popleft() if self._lines else None
            if line is None:
                yield self._take()
            else:
                yield from self._before(line)
                yield line

    def _before(self, line: bytes) -> Iterator[Frame]:
        """The frames that a state's watermark puts before it."""
        if b'"arrow_seq"' not in line:
            return
        try:
            message = orjson.loads(line)
            watermark = int(message["state"]["additionalData"]["arrow_seq"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return  # the words stand elsewhere in the message
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._frames or self._last_seq >= watermark or "frames" in self._ended or self._failure
                )
                if self._failure:
                    raise self._failure
                if not self._frames or self._frames[0].seq > watermark:
                    if self._last_seq < watermark:
                        raise ConnectorError(
                            f"A state stands behind frame {watermark}, but the data channel ended with frame "
                            f"{self._last_seq}.",
                            "system_error",
                        )
                    return
            yield self._take()

    def _take(self) -> Frame:
        with self._changed:
            frame = self._frames.popleft()
            self._waiting_bytes -= len(frame.body)
            self._changed.notify_all()
            return frame
