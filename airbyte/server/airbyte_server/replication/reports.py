"""What the connectors and the platform say during an attempt: its log, and the failures it ends with."""

from __future__ import annotations

from typing import Any

from airbyte_server.failures import Failure, failure_from_trace
from airbyte_server.replication.logs import AttemptLog
from airbyte_server.replication.progress import StreamKey

SOURCE, DESTINATION, PLATFORM = "source", "destination", "platform"


class Reports:
    """Safe to use from several threads: each role's failures are only appended to."""

    def __init__(self, log: AttemptLog) -> None:
        self._log = log
        self._failures: dict[str, list[Failure]] = {SOURCE: [], DESTINATION: [], PLATFORM: []}
        self._last_text: dict[str, str] = {}

    def failed(self, role: str) -> bool:
        return bool(self._failures[role])

    @property
    def failures(self) -> list[Failure]:
        """The source's first, for the others' often follow from them."""
        return [failure for found in self._failures.values() for failure in found]

    def fail(self, role: str, failure_type: str, message: str, stream: StreamKey | None = None) -> None:
        descriptor = {"name": stream[1], "namespace": stream[0] or None} if stream else None
        origin = "airbyte_platform" if role == PLATFORM else role
        self._failures[role].append(Failure(origin, failure_type, self._log.redact(message), stream=descriptor))

    def ended_badly(self, role: str, status: int) -> None:
        """A connector that ended with a status other than 0 without having said why."""
        last = self._last_text.get(role)
        words = f"its last words: {last}" if last else "it said nothing"
        self.fail(role, "system_error", f"the {role} ended with exit status {status}; {words}")

    def message(self, role: str, message: dict[str, Any]) -> None:
        """A message of the protocol that is neither a record nor a state."""
        kind = message["type"]
        if kind == "LOG":
            log = message["log"]
            level = str(log.get("level", "INFO"))
            self._log.write(level, role, str(log.get("message", "")))
            if log.get("stack_trace"):
                self._log.write(level, role, str(log["stack_trace"]))
        elif kind == "TRACE" and message["trace"].get("type") == "ERROR":
            failure = failure_from_trace(role, message["trace"].get("error") or {}, self._log.redact)
            self._failures[role].append(failure)
            for detail in (failure.internal_message, failure.stacktrace):
                if detail:
                    self._log.write("ERROR", role, detail)
        elif kind == "CONTROL":
            self.platform("WARN", f"the {role} asked to change its configuration; this is not supported")

    def text(self, role: str, text: str) -> None:
        """A line that is no message of the protocol."""
        if text.strip():
            self._last_text[role] = text.strip()[:1000]
            self._log.write("INFO", role, text.rstrip())

    def platform(self, level: str, text: str) -> None:
        self._log.write(level, PLATFORM, text)

    def write_failures(self) -> None:
        for failure in self.failures:
            self._log.write("ERROR", failure.origin, failure.external_message)
