"""Both connectors joined, as the platform joins them: by lines alone, or with Arrow frames on a socket beside them."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def _offered(serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """Offer the Arrow channel to a connector run within; ``serve`` is given its connection."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX) as listener,
        pytest.MonkeyPatch.context() as patch,
    ):
        path = str(Path(folder) / "channel.sock")
        listener.bind(path)
        listener.listen()
        listener.settimeout(20)
        for name, value in (("MEDIUM", "SOCKET"), ("FORMAT", "ARROW"), ("SOCKET_PATHS", path)):
            patch.setenv(f"DATA_CHANNEL_{name}", value)

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield
        thread.join()


def through(source: Any, destination: Any, catalog: dict[str, Any], channel: str, **files: Any) -> tuple[Any, Any]:
    """Read with ``source`` and write it all with ``destination``; ``channel`` is JSON or ARROW. Returns both runs."""
    if channel == "JSON":
        read = source("read", catalog=catalog, **files)
        return read, destination("write", b"".join(read.lines), catalog=catalog)
    frames = bytearray()

    def receive(connection: socket.socket) -> None:
        while part := connection.recv(1 << 20):
            frames.extend(part)

    with _offered(receive):
        read = source("read", catalog=catalog, **files)
    assert not read.bodies("RECORD", "record")
    with _offered(lambda connection: connection.sendall(frames)):
        return read, destination("write", b"".join(read.lines), catalog=catalog)
