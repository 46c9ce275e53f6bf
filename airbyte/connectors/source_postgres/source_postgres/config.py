"""The connector's configuration, checked and typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from source_postgres.errors import ConnectorError

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: Keys that upstream's connector has and this version cannot honour: refused rather than ignored.
_UNSUPPORTED_KEYS = ("jdbc_url_params", "entra_client_id", "entra_client_secret", "entra_tenant_id")
_SECRET_SSL_KEYS = ("client_key", "client_key_password")


@dataclass(frozen=True)
class SslMode:
    """libpq's sslmode with PEM texts (not paths)."""

    mode: str = "prefer"
    ca_certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    client_key_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Config:
    """Validated configuration; keys as in ``spec.json``."""

    host: str
    port: int
    database: str
    username: str
    password: str | None = field(repr=False)
    schemas: tuple[str, ...]
    ssl: SslMode
    checkpoint_seconds: int
    check_privileges: bool


def secrets(raw: dict[str, Any]) -> list[str]:
    """The values of ``raw`` that no message may show; works on invalid configurations too."""
    ssl_mode = raw.get("ssl_mode")
    values = [raw.get("password")]
    if isinstance(ssl_mode, dict):
        values += [ssl_mode.get(key) for key in _SECRET_SSL_KEYS]
    return [value for value in values if isinstance(value, str) and value]


def parse(raw: dict[str, Any]) -> Config:
    """Check ``raw`` against what this version supports.

    Raises:
        ConnectorError: config_error naming the key, what it holds and what it should.
    """
    replication = _choice(raw, "replication_method", "method", "Standard")
    if replication != "Standard":
        if replication in ("CDC", "Xmin"):
            raise ConnectorError(
                f"replication_method {replication} is not supported yet by this connector version; use Standard."
            )
        raise ConnectorError(f"replication_method.method is {replication!r}; the only one supported is Standard.")
    tunnel = _choice(raw, "tunnel_method", "tunnel_method", "NO_TUNNEL")
    if tunnel != "NO_TUNNEL":
        raise ConnectorError(
            f"tunnel_method {tunnel} is not supported by this connector version; open the SSH tunnel outside of it "
            "and use NO_TUNNEL with the tunnel's local host and port."
        )
    for key in _UNSUPPORTED_KEYS:
        if raw.get(key):
            raise ConnectorError(f"{key} is not supported by this connector version; remove it from the configuration.")
    schemas = raw.get("schemas") or []
    if not isinstance(schemas, list) or not all(isinstance(name, str) for name in schemas):
        raise ConnectorError(f"schemas must be a list of schema names, not {schemas!r}.")
    return Config(
        host=_text(raw, "host"),
        port=_integer(raw, "port", 0, 65535),
        database=_text(raw, "database"),
        username=_text(raw, "username"),
        password=_text(raw, "password") if raw.get("password") else None,
        schemas=tuple(schemas),
        ssl=_ssl(raw),
        checkpoint_seconds=_integer(raw, "checkpoint_target_interval_seconds", 1, 86400, default=300),
        check_privileges=raw.get("check_privileges", True) is not False,
    )


def _ssl(raw: dict[str, Any]) -> SslMode:
    mode = _choice(raw, "ssl_mode", "mode", "prefer")
    if mode not in SSL_MODES:
        raise ConnectorError(f"ssl_mode.mode is {mode!r}; it must be one of {', '.join(SSL_MODES)}.")
    given = raw.get("ssl_mode") or {}
    if mode.startswith("verify") and not given.get("ca_certificate"):
        raise ConnectorError(f"ssl_mode {mode} needs ca_certificate, the PEM text of the certificate authority.")
    keys = ("ca_certificate", "client_certificate", "client_key", "client_key_password")
    return SslMode(mode, **{key: given.get(key) or None for key in keys})


def _choice(raw: dict[str, Any], key: str, discriminator: str, default: str) -> str:
    value = raw.get(key)
    if value is None:
        return default
    if not isinstance(value, dict) or not isinstance(value.get(discriminator), str):
        raise ConnectorError(f'{key} must be an object such as {{"{discriminator}": "{default}"}}.')
    return value[discriminator]


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConnectorError(f"{key} is missing or not a text in the configuration; it is required.")
    return value


def _integer(raw: dict[str, Any], key: str, low: int, high: int, default: int | None = None) -> int:
    value = raw.get(key, default)
    # Configurations filled from environment variables carry numbers as texts.
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConnectorError(f"{key} is {value!r}; it must be a whole number from {low} to {high}.")
    return value
