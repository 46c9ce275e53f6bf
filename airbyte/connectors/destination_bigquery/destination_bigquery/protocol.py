"""Airbyte protocol messages on stdout, one JSON object a line.

https://docs.airbyte.com/platform/understanding-airbyte/airbyte-protocol
"""

from __future__ import annotations

import re
import threading
import time
import traceback
from collections.abc import Iterable
from typing import Any, BinaryIO, Literal

import orjson

from destination_bigquery.errors import ConnectorError, FailureType

LogLevel = Literal["FATAL", "ERROR", "WARN", "INFO", "DEBUG"]
#: What replaces a secret in any message; the platform's own mask.
MASK = "**********"
_STATE_BODY = re.compile(rb'"state"\s*:\s*\{')


class Output:
    """Writes messages to ``stream``, whole lines from any thread; ``secrets`` are masked in logs and errors."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._secrets: list[str] = []
        self._lock = threading.Lock()

    def mask(self, secrets: Iterable[str]) -> None:
        """Never let any of these values out again in a log or an error."""
        self._secrets += [secret for secret in secrets if secret]

    def message(self, kind: str, key: str, body: Any) -> None:
        self._line(orjson.dumps({"type": kind, key: body}))

    def log(self, level: LogLevel, text: str) -> None:
        self.message("LOG", "log", {"level": level, "message": self.masked(text)})

    def echo_states(self, states: Iterable[tuple[bytes, int]]) -> None:
        """Give back STATE lines byte for byte, with ``destinationStats`` put in: the records received between the
        previous state of its scope and this one. All by one write: states that were committed together must not be
        parted by a crash, or the rows between them would be sent, and written, again."""
        lines = []
        for line, records in states:
            stats = b'"destinationStats":{"recordCount":%d.0},' % records
            lines.append(_STATE_BODY.sub(lambda match, stats=stats: match[0] + stats, line, count=1))  # type: ignore[misc]
        if lines:
            self._line(b"\n".join(lines))

    def error(self, error: BaseException) -> None:
        """A TRACE ERROR for ``error``."""
        failure_type: FailureType = error.failure_type if isinstance(error, ConnectorError) else "system_error"
        internal = error.internal if isinstance(error, ConnectorError) else f"{type(error).__name__}: {error}"
        body = {
            "message": self.masked(str(error) or type(error).__name__),
            "internal_message": self.masked(internal),
            "stack_trace": self.masked("".join(traceback.format_exception(error))),
            "failure_type": failure_type,
        }
        emitted_at = time.time_ns() // 1_000_000
        self.message("TRACE", "trace", {"type": "ERROR", "emitted_at": float(emitted_at), "error": body})

    def masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def _line(self, line: bytes) -> None:
        with self._lock:
            self._stream.write(line + b"\n")
            self._stream.flush()
