"""What the server is told from outside: command line and environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

# What only the server needs to know: connectors do not inherit these.
PRIVATE_VARIABLES = ("AIRBYTE_CLIENT_SECRET", "AIRBYTE_DATABASE_URL", "AIRBYTE_SECRETS_KEY")


def connector_environment() -> dict[str, str]:
    """The environment of connector processes: the server's, without its own secrets."""
    return {name: value for name, value in os.environ.items() if name not in PRIVATE_VARIABLES}


class SettingsError(ValueError):
    """A setting is missing or cannot be used; the message names it and the cure."""


@dataclass(frozen=True)
class RetryLimits:
    """When a job gives up; defaults are the platform's. Delays in seconds."""

    successive_complete_failures: int = 5
    total_complete_failures: int = 10
    successive_partial_failures: int = 1000
    total_partial_failures: int = 20
    backoff_base: float = 10.0
    backoff_factor: float = 3.0
    backoff_maximum: float = 1800.0


@dataclass(frozen=True)
class Timeouts:
    """Seconds after which an attempt is ended; defaults are the platform's.

    ``source_silence``: no message from a source that is waited for. ``destination``: it reads nothing, or does not end
    after the last record. ``attempt``: from its start.
    """

    source_silence: float = 3 * 3600
    destination: float = 2 * 3600
    attempt: float = 3 * 86400


@dataclass(frozen=True)
class LogLimits:
    """How much of attempts' logs is kept: of one, of all together, and for how long."""

    attempt_bytes: int = 64_000_000
    total_bytes: int = 2_000_000_000
    days: float = 90


@dataclass(frozen=True)
class Settings:
    """Everything the server needs to start.

    ``database_url`` is a SQLAlchemy address of the metadata database; ``data_dir`` holds attempts' logs, the
    connectors' working folders and, unless ``secrets_key`` is given, the key that encrypts stored secrets.
    ``connectors_file`` names a YAML list of further connectors, ``manifests_dir`` a folder of low-code manifests (see
    :mod:`airbyte_server.definitions`), ``declared_dir`` the folder of octavia's files, which the UI compares with
    what is there. ``ui_sign_in``: the UI asks for credentials also for reading on a loopback address.
    """

    host: str
    port: int
    database_url: str = field(repr=False)
    data_dir: Path
    client_id: str
    client_secret: str = field(repr=False)
    secrets_key: str | None = field(default=None, repr=False)
    connectors_file: Path | None = None
    manifests_dir: Path | None = None
    retry_limits: RetryLimits = field(default_factory=RetryLimits)
    max_concurrent_jobs: int = 4
    timeouts: Timeouts = field(default_factory=Timeouts)
    log_limits: LogLimits = field(default_factory=LogLimits)
    schema_max_age: timedelta = timedelta(days=1)
    declared_dir: Path | None = None
    ui_sign_in: bool = False

    @property
    def loopback_only(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def from_environment(
        cls, *, host: str, port: int, database_url: str, data_dir: Path, environment: Mapping[str, str] = os.environ
    ) -> Settings:
        """Complete the command line's values from ``environment``; raise :class:`SettingsError` for what is missing."""
        for name in ("AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET"):
            if not environment.get(name):
                raise SettingsError(
                    f"{name} is not set: export it (clients log in with the same value) and start again"
                )
        connectors, manifests = environment.get("AIRBYTE_CONNECTORS_FILE"), environment.get("AIRBYTE_MANIFESTS_DIR")
        return cls(
            host=host,
            port=port,
            database_url=_with_driver(database_url),
            data_dir=data_dir.resolve(),
            client_id=environment["AIRBYTE_CLIENT_ID"],
            client_secret=environment["AIRBYTE_CLIENT_SECRET"],
            secrets_key=environment.get("AIRBYTE_SECRETS_KEY") or None,
            connectors_file=Path(connectors) if connectors else None,
            manifests_dir=Path(manifests) if manifests else None,
            retry_limits=RetryLimits(**_given(environment, _RETRY_VARIABLES)),
            max_concurrent_jobs=_number(environment, "AIRBYTE_MAX_CONCURRENT_JOBS", int, 4),
            timeouts=Timeouts(**_given(environment, _TIMEOUT_VARIABLES)),
            log_limits=LogLimits(**_given(environment, _LOG_VARIABLES)),
            schema_max_age=timedelta(seconds=_number(environment, "AIRBYTE_SCHEMA_MAX_AGE_SECONDS", float, 86400)),
            declared_dir=Path(declared) if (declared := environment.get("AIRBYTE_DECLARED_DIR")) else None,
            ui_sign_in=_switch(environment, "AIRBYTE_UI_SIGN_IN"),
        )


def _with_driver(url: str) -> str:
    """``postgresql://…`` with SQLAlchemy's name for psycopg 3."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgresql", "postgres"):
        raise SettingsError(
            "--database-url must look like postgresql://user:password@host:port/database "
            f"(its scheme is {scheme.split('@')[0] if separator else 'missing'!r})"
        )
    return f"postgresql+psycopg://{rest}"


def _switch(environment: Mapping[str, str], name: str) -> bool:
    given = environment.get(name) or "no"
    if given not in ("yes", "no"):
        raise SettingsError(f"{name} is {given!r}: write yes or no")
    return given == "yes"


_RETRY_VARIABLES: dict[str, tuple[str, type]] = {
    "successive_complete_failures": ("AIRBYTE_RETRY_SUCCESSIVE_COMPLETE_FAILURES", int),
    "total_complete_failures": ("AIRBYTE_RETRY_TOTAL_COMPLETE_FAILURES", int),
    "successive_partial_failures": ("AIRBYTE_RETRY_SUCCESSIVE_PARTIAL_FAILURES", int),
    "total_partial_failures": ("AIRBYTE_RETRY_TOTAL_PARTIAL_FAILURES", int),
    "backoff_base": ("AIRBYTE_RETRY_BACKOFF_SECONDS", float),
}


_TIMEOUT_VARIABLES: dict[str, tuple[str, type]] = {
    "source_silence": ("AIRBYTE_SOURCE_HEARTBEAT_SECONDS", float),
    "destination": ("AIRBYTE_DESTINATION_TIMEOUT_SECONDS", float),
    "attempt": ("AIRBYTE_ATTEMPT_TIMEOUT_SECONDS", float),
}


_LOG_VARIABLES: dict[str, tuple[str, type]] = {
    "attempt_bytes": ("AIRBYTE_LOG_ATTEMPT_BYTES", int),
    "total_bytes": ("AIRBYTE_LOG_TOTAL_BYTES", int),
    "days": ("AIRBYTE_LOG_DAYS", float),
}


def _given(environment: Mapping[str, str], variables: dict[str, tuple[str, type]]) -> dict[str, Any]:
    return {
        attribute: _number(environment, variable, kind, None)
        for attribute, (variable, kind) in variables.items()
        if environment.get(variable)
    }


def _number(environment: Mapping[str, str], name: str, kind: type, default: int | None) -> Any:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if value < 0:
        raise SettingsError(f"{name}={text!r} is not a number of at least 0")
    return value
