"""The platform's end of the Arrow data channel: frames of records from the source to the destination, unread.

The contract is in docs/data-channel.md. Each connector has a socket of its own; a thread reads whole frames from one
and writes them to the other under the destination's names, and keeps count of them until a state covers them.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from airbyte_server.replication.mapping import NameMapping
from airbyte_server.replication.progress import StreamKey, StreamProgress
from airbyte_server.replication.watchdog import Watchdog

OFFER = {"medium": "SOCKET", "format": "ARROW"}
"""What a connector's SPEC lists under ``dataChannels`` if it can take part."""

FIRST_RECORDS = "the source's first records have come"

_ROLES = ("source", "destination")
# The shortest limit on the path of a Unix socket, macOS's.
_PATH_LIMIT = 104
# What a connector may do before it opens its end; it should be the first thing.
_CONNECT_SECONDS = 60.0
_HEADER_LIMIT = 1 << 16


@dataclass(frozen=True)
class _Frame:
    seq: int
    rows: int
    size: int
    progress: StreamProgress | None
    """``None`` for a stream that is not selected: such a frame is not passed on."""


class DataChannel:
    """Between :meth:`open` and :meth:`close` a thread forwards frames.

    ``on_failure`` is told (role, message) when a connector breaks the contract, ``on_destination_gone`` when the
    destination reads no more, ``log`` (level, message); all are called from that thread.
    """

    def __init__(
        self,
        streams: dict[StreamKey, StreamProgress],
        mapping: NameMapping,
        on_failure: Callable[[str, str], None],
        on_destination_gone: Callable[[], None],
        log: Callable[[str, str], None],
        watchdog: Watchdog,
    ) -> None:
        self._streams = streams
        self._mapping = mapping
        self._on_failure = on_failure
        self._on_destination_gone = on_destination_gone
        self._log = log
        self._watchdog = watchdog
        self._folder: Path | None = None
        self._listeners: dict[str, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, name="data channel")
        self._changed = threading.Condition()
        self._unsettled: deque[_Frame] = deque()
        self._arrived = self._passed_on = 0
        self._ended = False
        self.unexpected: dict[str, int] = {}

    def open(self) -> None:
        """Listen on both sockets, in a folder that only this user may enter. Raises :class:`OSError`."""
        folder = tempfile.mkdtemp(prefix="airbyte-")
        if len(f"{folder}/destination") >= _PATH_LIMIT:
            shutil.rmtree(folder)
            folder = tempfile.mkdtemp(prefix="airbyte-", dir="/tmp")
        self._folder = Path(folder)
        for role in _ROLES:
            listener = self._listeners[role] = socket.socket(socket.AF_UNIX)
            listener.bind(str(self._folder / role))
            listener.listen()
            listener.settimeout(_CONNECT_SECONDS)
        self._thread.start()

    def environment(self, role: str) -> dict[str, str]:
        """The variables that offer the channel to a connector."""
        return {
            "DATA_CHANNEL_MEDIUM": OFFER["medium"],
            "DATA_CHANNEL_FORMAT": OFFER["format"],
            "DATA_CHANNEL_SOCKET_PATHS": f"{self._folder}/{role}",
        }

    def settle(self, seq: int) -> int | None:
        """Count the frames up to ``seq`` as emitted, waiting for them; later ones belong to the next state.

        Returns the last of them that was passed on, or ``None`` if they will not all come.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._arrived >= seq or self._ended)
            if self._arrived < seq:
                return None
            self._settle(seq)
            return self._passed_on

    def hang_up(self, role: str) -> None:
        """The connector has ended: nobody may wait for it to open its end."""
        # Where it had done so, this connection is not taken up any more.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as caller:
            caller.connect(f"{self._folder}/{role}")

    def finish(self) -> None:
        """The source has ended: wait until all that it wrote is passed on, and count it."""
        self.hang_up("source")
        self._thread.join()
        with self._changed:
            self._settle(self._arrived)

    def close(self) -> None:
        """Both connectors have ended. Safe to call at any time after :meth:`open` was, also if that failed."""
        for role in _ROLES:
            self.hang_up(role)
        if self._thread.ident is not None:
            self._thread.join()
        self._remove_sockets()

    def _settle(self, seq: int) -> None:
        while self._unsettled and self._unsettled[0].seq <= seq:
            frame = self._unsettled.popleft()
            if frame.progress is not None:
                frame.progress.settle(frame.rows, frame.size)
                self._passed_on = frame.seq

    def _run(self) -> None:
        try:
            with self._accept("source") as source, self._accept("destination") as destination:
                # Nothing is left behind even if this server is killed from now on.
                self._remove_sockets()
                with source.makefile("rb") as frames:
                    self._forward(frames, destination)
        except _Broken as broken:
            self._on_failure(broken.role, str(broken))
            self._on_destination_gone()
        except OSError as error:
            self._on_failure("platform", f"the data channel failed: {error}")
            self._on_destination_gone()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _accept(self, role: str) -> socket.socket:
        try:
            connection, _ = self._listeners[role].accept()
        except TimeoutError:
            message = f"the {role} did not open its data channel within {_CONNECT_SECONDS:.0f} s"
            raise _Broken(role, message) from None
        connection.setblocking(True)
        return connection

    def _forward(self, frames: BinaryIO, destination: socket.socket) -> None:
        # One for all: memory fresh from the system costs as much as what is copied into it.
        room = bytearray()
        while line := frames.readline(_HEADER_LIMIT):
            self._watchdog.source_heard()
            if not line.endswith(b"\n") and len(line) < _HEADER_LIMIT:
                self._log(
                    "WARN", f"the source's data channel ends within a frame's header of {len(line)} bytes; left out"
                )
                return
            header = _parsed(line)
            if len(room) < header["bytes"]:
                room = bytearray(header["bytes"])
            body = memoryview(room)[: header["bytes"]]
            if (read := frames.readinto(body)) < len(body):  # type: ignore[attr-defined]  # a BufferedReader
                self._log(
                    "WARN",
                    f"the source's data channel ends within frame {header['seq']}, after {read} of {len(body)} bytes; "
                    "left out",
                )
                return
            key = (header.get("namespace") or "", header["stream"])
            progress = self._streams.get(key)
            if progress is None:
                name = ".".join(part for part in key if part)
                self.unexpected[name] = self.unexpected.get(name, 0) + header["rows"]
            else:
                self._watchdog.waiting_for_destination()
                try:
                    destination.sendall(self._renamed(header))
                    destination.sendall(body)
                except OSError:
                    self._on_destination_gone()
                    return
                finally:
                    self._watchdog.went_on()
            self._count(_Frame(header["seq"], header["rows"], len(body), progress))

    def _renamed(self, header: dict[str, Any]) -> bytes:
        descriptor = {"name": header["stream"], "namespace": header.get("namespace")}
        mapped = self._mapping.stream(descriptor)
        names = {"stream": mapped["name"], "namespace": mapped.get("namespace")}
        return orjson.dumps({**header, **names}, option=orjson.OPT_APPEND_NEWLINE)

    def _count(self, frame: _Frame) -> None:
        if self._arrived == 0:
            self._log("INFO", FIRST_RECORDS)
        with self._changed:
            if frame.seq <= self._arrived:
                raise _Broken("source", f"frame {frame.seq} came after frame {self._arrived} on the data channel")
            self._arrived = frame.seq
            self._unsettled.append(frame)
            if frame.progress is not None:
                frame.progress.arrive(frame.rows, frame.size)
            self._changed.notify_all()

    def _remove_sockets(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class _Broken(Exception):
    """A connector did not keep to the contract."""

    def __init__(self, role: str, message: str) -> None:
        super().__init__(message)
        self.role = role


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        header = orjson.loads(line)
        if isinstance(header["stream"], str) and all(
            isinstance(header[name], int) and header[name] >= 0 for name in ("rows", "seq", "bytes")
        ):
            return header
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    raise _Broken("source", f"the data channel holds what is no frame's header: {line[:200]!r}")
