"""Where records go: JSON lines on stdout, or Arrow batches on a socket (docs/data-channel.md)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Protocol

import orjson

from source_postgres.batches import Batch
from source_postgres.errors import ConnectorError
from source_postgres.protocol import Output, now_ms

_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


class Channel(Protocol):
    """Takes batches of records, in order."""

    def write(self, stream: str, namespace: str | None, batch: Batch) -> None: ...

    def close(self) -> None: ...


class JsonChannel:
    """RECORD messages among the others on stdout."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, stream: str, namespace: str | None, batch: Batch) -> None:
        head = b'{"type":"RECORD","record":{"namespace":%s,"stream":%s,"emitted_at":%d,"data":' % (
            orjson.dumps(namespace),
            orjson.dumps(stream),
            now_ms(),
        )
        self._output.records(batch.json_lines(head))

    def close(self) -> None:
        pass


class ArrowChannel:
    """Frames of one header line and one Arrow IPC stream; states name the last frame before them."""

    def __init__(self, path: str, output: Output) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise ConnectorError(
                f"The data channel {path} (DATA_CHANNEL_SOCKET_PATHS) cannot be opened: {error}", "system_error"
            ) from error
        self._output = output
        output.frames = 0

    def write(self, stream: str, namespace: str | None, batch: Batch) -> None:
        records = batch.arrow()
        # An Arrow IPC stream. Arrow's own writer of one makes its buffer grow, which takes twice as long.
        parts = (records.schema.serialize(), records.serialize(), _END_OF_STREAM)
        sequence = (self._output.frames or 0) + 1
        header = {
            "stream": stream,
            "namespace": namespace,
            "emitted_at": now_ms(),
            "rows": records.num_rows,
            "seq": sequence,
            "bytes": sum(len(part) for part in parts),
        }
        self._socket.sendall(orjson.dumps(header) + b"\n")
        for part in parts:
            self._socket.sendall(part)
        self._output.frames = sequence

    def close(self) -> None:
        self._socket.close()


def open_channel(output: Output, environment: Mapping[str, str] = os.environ) -> Channel:
    """The channel that the platform chose.

    Raises:
        ConnectorError: for a medium or format other than the SPEC message offers, or a socket that cannot be opened.
    """
    medium = environment.get("DATA_CHANNEL_MEDIUM", "STDIO")
    if medium == "STDIO":
        return JsonChannel(output)
    form, paths = environment.get("DATA_CHANNEL_FORMAT"), environment.get("DATA_CHANNEL_SOCKET_PATHS", "")
    if medium != "SOCKET" or form != "ARROW" or not paths or "," in paths:
        raise ConnectorError(
            f"The data channel {medium}/{form} with socket paths {paths!r} is not supported; "
            "use SOCKET and ARROW with one path, or leave DATA_CHANNEL_MEDIUM unset.",
            "system_error",
        )
    return ArrowChannel(paths, output)
