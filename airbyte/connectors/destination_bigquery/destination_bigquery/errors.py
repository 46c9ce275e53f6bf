"""The connector's one exception: what went wrong, for people, and what the platform may do about it."""

from __future__ import annotations

from typing import Literal

FailureType = Literal["config_error", "transient_error", "system_error"]


class ConnectorError(Exception):
    """An expected failure.

    ``failure_type`` is the protocol's: config_error (no retry helps until somebody changes something),
    transient_error (a retry may), system_error (a fault of the connector).
    """

    def __init__(self, message: str, failure_type: FailureType = "config_error", internal: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.failure_type: FailureType = failure_type
        self.internal = internal or message
