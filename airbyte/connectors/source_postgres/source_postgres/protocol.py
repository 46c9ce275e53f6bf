"""Airbyte protocol messages on stdout, one JSON object a line.

https://docs.airbyte.com/platform/understanding-airbyte/airbyte-protocol
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from typing import Any, BinaryIO, Literal

import orjson

from source_postgres.errors import ConnectorError, FailureType

LogLevel = Literal["FATAL", "ERROR", "WARN", "INFO", "DEBUG"]
StreamStatus = Literal["STARTED", "RUNNING", "COMPLETE", "INCOMPLETE"]
#: What replaces a secret in any message; the platform's own mask.
MASK = "**********"


def now_ms() -> int:
    """Milliseconds since the Unix epoch, the protocol's unit for every ``emitted_at``."""
    return time.time_ns() // 1_000_000


class Output:
    """Writes messages to ``stream``; ``secrets`` are masked in logs and errors."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._secrets: list[str] = []
        #: Frames written to the Arrow channel so far; None where records go to stdout.
        self.frames: int | None = None

    def mask(self, secrets: Iterable[str]) -> None:
        """Never let any of these values out again in a log or an error."""
        self._secrets += [secret for secret in secrets if secret]

    def message(self, kind: str, key: str, body: Any) -> None:
        self._stream.write(orjson.dumps({"type": kind, key: body}) + b"\n")
        self._stream.flush()

    def records(self, block: bytes | memoryview) -> None:
        """Write whole RECORD lines that are encoded already."""
        self._stream.write(block)

    def log(self, level: LogLevel, text: str) -> None:
        self.message("LOG", "log", {"level": level, "message": self._masked(text)})

    def status(self, name: str, namespace: str | None, status: StreamStatus) -> None:
        descriptor = {"name": name, "namespace": namespace}
        self._trace("STREAM_STATUS", "stream_status", {"stream_descriptor": descriptor, "status": status})

    def state(self, name: str, namespace: str | None, state: dict[str, Any] | None, records: int) -> None:
        """A STREAM state; ``records`` is the number of records of the stream since its previous state."""
        stream = {"stream_descriptor": {"name": name, "namespace": namespace}, "stream_state": state}
        self._state({"type": "STREAM", "stream": stream}, records)

    def global_state(self, shared: dict[str, Any], streams: list[dict[str, Any]], records: int) -> None:
        """A GLOBAL state; ``records`` is the number of records of all streams since the previous one."""
        self._state({"type": "GLOBAL", "global": {"shared_state": shared, "stream_states": streams}}, records)

    def _state(self, body: dict[str, Any], records: int) -> None:
        body["sourceStats"] = {"recordCount": float(records)}
        if self.frames is not None:
            body["additionalData"] = {"arrow_seq": self.frames}
        self.message("STATE", "state", body)

    def error(self, error: BaseException, stream: tuple[str, str | None] | None = None) -> None:
        """A TRACE ERROR for ``error``; with ``stream`` (name, namespace) where one stream alone is hit."""
        failure_type: FailureType = error.failure_type if isinstance(error, ConnectorError) else "system_error"
        internal = error.internal if isinstance(error, ConnectorError) else f"{type(error).__name__}: {error}"
        body: dict[str, Any] = {
            "message": self._masked(str(error) or type(error).__name__),
            "internal_message": self._masked(internal),
            "stack_trace": self._masked("".join(traceback.format_exception(error))),
            "failure_type": failure_type,
        }
        if stream:
            body["stream_descriptor"] = {"name": stream[0], "namespace": stream[1]}
        self._trace("ERROR", "error", body)

    def _trace(self, kind: str, key: str, body: Any) -> None:
        self.message("TRACE", "trace", {"type": kind, "emitted_at": float(now_ms()), key: body})

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text
