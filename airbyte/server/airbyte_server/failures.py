"""Why a connector or attempt failed, in the Config API's shape (FailureReason)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Failure:
    """``failure_type`` is ``config_error``, ``system_error``, ``transient_error`` or ``manual_cancellation``."""

    origin: str
    failure_type: str
    external_message: str
    internal_message: str | None = None
    stacktrace: str | None = None
    stream: dict[str, Any] | None = None
    from_trace: bool = False
    timestamp: int = field(default_factory=lambda: int(time.time() * 1000))

    def as_dict(self) -> dict[str, Any]:
        return {
            "failureOrigin": self.origin,
            "failureType": self.failure_type,
            "externalMessage": self.external_message,
            "internalMessage": self.internal_message,
            "stacktrace": self.stacktrace,
            "retryable": self.failure_type != "config_error",
            "timestamp": self.timestamp,
            "fromTraceMessage": self.from_trace,
            "streamDescriptor": self.stream,
        }


def failure_from_trace(origin: str, error: dict[str, Any], redact: Any) -> Failure:
    """The failure that a connector's TRACE ERROR message tells of; secrets are masked by ``redact``."""

    def text(key: str) -> str | None:
        value = error.get(key)
        return None if value is None else redact(str(value))

    failure_type = error.get("failure_type")
    known = failure_type in ("config_error", "system_error", "transient_error")
    return Failure(
        origin=origin,
        failure_type=str(failure_type) if known else "system_error",
        external_message=text("message") or "the connector reported an error without a message",
        internal_message=text("internal_message"),
        stacktrace=text("stack_trace"),
        stream=error.get("stream_descriptor"),
        from_trace=True,
    )
