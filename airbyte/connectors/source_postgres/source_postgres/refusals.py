"""Refused connections in words. libpq gives no codes for these, only a text, its own or the server's."""

from __future__ import annotations

import re

from source_postgres.config import Config
from source_postgres.errors import ConnectorError, FailureType

#: In the order in which they are tried: what the text holds, what that means, and what to do about it.
_REFUSALS: tuple[tuple[str, str, FailureType], ...] = (
    (
        r"password.*authentication|no password supplied",
        "Postgres at {where} refused user {user!r}: wrong or missing password, or unknown user.",
        "config_error",
    ),
    (
        r"database .* does not exist",
        "Database {database!r} does not exist on {where}; check database in the configuration.",
        "config_error",
    ),
    (
        r"role .* does not exist",
        "User {user!r} does not exist on {where}; check username in the configuration.",
        "config_error",
    ),
    (
        r"permission denied for database",
        "User {user!r} may not connect to database {database!r}; GRANT CONNECT ON DATABASE {database} TO {user}.",
        "config_error",
    ),
    (r"is not permitted to log in", "User {user!r} may not sign in; ALTER ROLE {user} LOGIN.", "config_error"),
    (
        r"replication.*(must be superuser|permission denied)|permission denied.*replication",
        "User {user!r} may not replicate; ALTER ROLE {user} REPLICATION.",
        "config_error",
    ),
    (
        r"number of requested standby connections|too many|connection slots are reserved",
        "Postgres at {where} has no connection left; raise max_wal_senders or max_connections, or the limit of the "
        "role or database.",
        "transient_error",
    ),
    (
        r"pg_hba\.conf.*no encryption",
        "Postgres at {where} does not admit user {user!r} to database {database!r} from here without TLS; set ssl_mode "
        "to require, or add a line to pg_hba.conf.",
        "config_error",
    ),
    (
        r"pg_hba\.conf",
        "Postgres at {where} does not admit user {user!r} to database {database!r} from here; add a line to "
        "pg_hba.conf.",
        "config_error",
    ),
    (
        r"received invalid response to ssl negotiation|expected authentication request from server",
        "What listens on {where} is no Postgres; check host and port in the configuration.",
        "config_error",
    ),
    (
        r"server does not support ssl",
        "TLS with Postgres at {where} failed under ssl_mode {mode}: the server has none. Set ssl = on in its "
        "postgresql.conf, or ssl_mode to prefer.",
        "config_error",
    ),
    (
        r"does not match host name",
        "TLS with Postgres at {where} failed under ssl_mode {mode}: the server's certificate is for another name. Give "
        "that name as host, or set ssl_mode to verify-ca.",
        "config_error",
    ),
    (
        r"could not (read|load) root certificate|no certificate or crl found",
        "ssl_mode.ca_certificate is not the PEM text of a certificate; paste the authority's whole file.",
        "config_error",
    ),
    (
        r"could not (read|load) (private key|certificate) file|private key file|does not match private key",
        "ssl_mode.client_certificate and client_key are not a certificate and its key in PEM, or client_key_password "
        "does not open the key.",
        "config_error",
    ),
    (
        r"certificate verify failed",
        "TLS with Postgres at {where} failed under ssl_mode {mode}: the server's certificate is not signed by "
        "ca_certificate, or is out of date. Paste the authority that signed it (of a self-signed one: itself), or set "
        "ssl_mode to require.",
        "config_error",
    ),
    (
        r"alert (certificate required|unknown ca|bad certificate|handshake failure)|valid client certificate",
        "TLS with Postgres at {where} failed under ssl_mode {mode}: the server wants a client certificate that it "
        "knows; set client_certificate and client_key.",
        "config_error",
    ),
    (
        r"ssl|certificate",
        "TLS with Postgres at {where} failed under ssl_mode {mode}; check ssl_mode.",
        "config_error",
    ),
    (
        r"the database system is (starting up|shutting down|in recovery mode|not yet accepting connections)",
        "Postgres at {where} is not ready for connections yet.",
        "transient_error",
    ),
)


#: A retry may help where nobody knows better.
_UNKNOWN: FailureType = "transient_error"


def refused(config: Config, text: str) -> ConnectorError:
    """A failed connection's ``text`` in words, with the cure where there is one."""
    message, failure_type = "Connecting to Postgres at {where} failed.", _UNKNOWN
    for pattern, words, kind in _REFUSALS:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            message, failure_type = words, kind
            break
    filled = message.format(
        where=f"{config.host}:{config.port}", user=config.username, database=config.database, mode=config.ssl.mode
    )
    return ConnectorError(f"{filled} Postgres said: {' '.join(text.split())}", failure_type)
