"""The connector's configuration, checked and typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl

from source_postgres.errors import ConnectorError

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: Keys that upstream's connector has and this version cannot honour: refused rather than ignored.
_UNSUPPORTED_KEYS = ("entra_service_principal_auth", "entra_client_id", "entra_tenant_id")
#: Parameters of the JDBC driver's URL that libpq has, too; with their values there, if those are others.
_JDBC_PARAMETERS: dict[str, tuple[str, dict[str, str] | None]] = {
    "ApplicationName": ("application_name", None),
    "connectTimeout": ("connect_timeout", None),
    "tcpKeepAlive": ("keepalives", {"true": "1", "false": "0"}),
    "targetServerType": (
        "target_session_attrs",
        {
            "any": "any",
            **dict.fromkeys(("primary", "master"), "read-write"),
            **dict.fromkeys(("secondary", "slave"), "standby"),
            **dict.fromkeys(("preferSecondary", "preferSlave"), "prefer-standby"),
        },
    ),
}
#: Connections through a pooler carry it: the driver prepares statements otherwise, which this connector never does.
_JDBC_WITHOUT_MEANING = "prepareThreshold"
Replication = Literal["Standard", "Xmin", "CDC"]
_LSN_COMMIT = ("After loading Data in the destination", "While reading Data")
_INVALID_POSITION = ("Fail sync", "Re-sync data")
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
class Cdc:
    """How changes are read from the log; keys as upstream's, in ``spec.json``."""

    slot: str
    publication: str
    #: Whether the slot moves on while reading, instead of at the next read's start.
    confirm_while_reading: bool
    #: Whether a lost position leads to a new snapshot, instead of an error.
    resync: bool
    waiting_seconds: int
    load_timeout_hours: int
    #: Changes held before they are decoded and written.
    queue_size: int
    heartbeat_query: str | None


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
    replication: Replication = "Standard"
    cdc: Cdc | None = None
    #: Further libpq parameters.
    parameters: dict[str, str] = field(default_factory=dict)


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
    method = _choice(raw, "replication_method", "method", "Standard")
    if method not in get_args(Replication):
        raise ConnectorError(
            f"replication_method.method is {method!r}; it must be one of {', '.join(get_args(Replication))}."
        )
    replication: Replication = method  # type: ignore[assignment]
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
        host=_host(raw),
        port=_integer(raw, "port", 0, 65535),
        database=_text(raw, "database"),
        username=_text(raw, "username"),
        password=_text(raw, "password") if raw.get("password") else None,
        schemas=tuple(schemas),
        ssl=_ssl(raw),
        checkpoint_seconds=_integer(raw, "checkpoint_target_interval_seconds", 1, 86400, default=300),
        check_privileges=raw.get("check_privileges", True) is not False,
        replication=replication,
        cdc=_cdc(raw["replication_method"]) if replication == "CDC" else None,
        parameters=_parameters(raw.get("jdbc_url_params")),
    )


def _cdc(raw: dict[str, Any]) -> Cdc:
    plugin = raw.get("plugin", "pgoutput")
    if plugin != "pgoutput":
        raise ConnectorError(f"replication_method.plugin is {plugin!r}; only pgoutput is supported.")
    return Cdc(
        slot=_text(raw, "replication_slot", "replication_method."),
        publication=_text(raw, "publication", "replication_method."),
        confirm_while_reading=_one_of(raw, "lsn_commit_behaviour", _LSN_COMMIT) == _LSN_COMMIT[1],
        resync=_one_of(raw, "invalid_cdc_cursor_position_behavior", _INVALID_POSITION) == _INVALID_POSITION[1],
        waiting_seconds=_integer(raw, "initial_waiting_seconds", 1, 2400, default=1200),
        load_timeout_hours=_integer(raw, "initial_load_timeout_hours", 1, 24, default=8),
        queue_size=_integer(raw, "queue_size", 1000, 10_000, default=10_000),
        heartbeat_query=raw.get("heartbeat_action_query") or None,
    )


def _parameters(raw: Any) -> dict[str, str]:
    """The libpq parameters that ``jdbc_url_params`` means."""
    if raw is not None and not isinstance(raw, str):
        raise ConnectorError("jdbc_url_params must be a text such as 'ApplicationName=airbyte&connectTimeout=10'.")
    given = dict(parse_qsl(raw or "", keep_blank_values=True))
    given.pop(_JDBC_WITHOUT_MEANING, None)
    unknown = [name for name in given if name not in _JDBC_PARAMETERS]
    if unknown:
        raise ConnectorError(
            f"jdbc_url_params holds {', '.join(unknown)}, which this connector does not support; it supports "
            f"{', '.join(_JDBC_PARAMETERS)}."
        )
    found = {}
    for name, value in given.items():
        parameter, values = _JDBC_PARAMETERS[name]
        if values is not None and value not in values:
            raise ConnectorError(f"jdbc_url_params holds {name}={value}; it must be one of {', '.join(values)}.")
        found[parameter] = values[value] if values is not None else value
    return found


def _one_of(raw: dict[str, Any], key: str, values: tuple[str, ...]) -> str:
    value = raw.get(key, values[0])
    if value not in values:
        raise ConnectorError(f"replication_method.{key} is {value!r}; it must be one of {', '.join(values)}.")
    return value


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


def _host(raw: dict[str, Any]) -> str:
    host = _text(raw, "host").strip()
    # As an address of version 6 is written in the JDBC driver's URL.
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _text(raw: dict[str, Any], key: str, where: str = "") -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConnectorError(f"{where}{key} is missing or not a text in the configuration; it is required.")
    return value


def _integer(raw: dict[str, Any], key: str, low: int, high: int, default: int | None = None) -> int:
    value = raw.get(key, default)
    # Configurations filled from environment variables carry numbers as texts.
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConnectorError(f"{key} is {value!r}; it must be a whole number from {low} to {high}.")
    return value
