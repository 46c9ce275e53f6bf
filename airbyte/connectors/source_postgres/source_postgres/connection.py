"""Opening the connection, with every way it can fail told apart."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from source_postgres.config import Config
from source_postgres.errors import ConnectorError, FailureType
from source_postgres.refusals import refused

CONNECT_TIMEOUT_SECONDS = 20

#: One rendering of every value, whatever the server's, database's or role's defaults. Synchronized and parallel scans
#: would break the order in which a table's blocks arrive. The role's search_path stays: functions that views call and
#: policies ask may need it.
_READING = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "xmloption": "content",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "synchronize_seqscans": "off",
    "max_parallel_workers_per_gather": "0",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
}

#: What somebody has to change in the database or the connection before a retry can succeed.
_LASTING_ERRORS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.DataError,  # a view that divides by zero, a text that is no UTF-8
    psycopg.errors.FeatureNotSupported,  # an unlogged table of a standby server
    psycopg.errors.ObjectNotInPrerequisiteState,  # a materialized view that has never been refreshed
    psycopg.errors.ProgramLimitExceeded,  # a row of more than a gigabyte
)


def _setting(settings: dict[str, str], *, local: bool) -> bytes:
    """The statement that sets them; those are left out that older versions of Postgres do not know."""
    values = ", ".join(f"('{name}', '{value}')" for name, value in settings.items())
    return (
        f"SELECT set_config(name, value, {local}) FROM (VALUES {values}) AS settings(name, value) "
        "WHERE current_setting(name, true) IS NOT NULL"
    ).encode()


def connect(config: Config) -> psycopg.Connection[Any]:
    """A read-only connection whose transactions are REPEATABLE READ, that is: one snapshot each. It prepares no
    statements, and rows are read in transactions with :func:`settle`: behind a pooler each may have another session.

    Raises:
        ConnectorError: saying whether the host, the port, TLS, the password, the database or something else refused.
    """
    with _parameters(config) as parameters:
        try:
            connection = psycopg.connect(**parameters, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise refused(config, str(error)) from error
    # Between two streams a session waits for what the destination takes its time over.
    connection.execute(_setting({"idle_session_timeout": "0"}, local=False))
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection


def settle(connection: psycopg.Connection[Any]) -> None:
    """Make the transaction that is open one in which rows can be read."""
    connection.execute(_setting(_READING, local=True))


def connect_replication(config: Config) -> psycopg.Connection[Any]:
    """A connection that speaks the replication protocol; psycopg offers that at libpq's level (``pgconn``) only.

    Raises:
        ConnectorError: as :func:`connect`, or where the role may not replicate.
    """
    with _parameters(config) as parameters:
        try:
            connection = psycopg.connect(**parameters, replication="database", autocommit=True)
        except psycopg.Error as error:
            raise refused(config, str(error)) from error
    # Such a connection takes no statements but simple ones. A destination may take its time over a batch.
    result = connection.pgconn.exec_(_setting({**_READING, "wal_sender_timeout": "0"}, local=False))
    if result.status != ExecStatus.TUPLES_OK:
        connection.close()
        raise explained(error_from_result(result), "Setting up the connection that reads the log")
    return connection


@contextlib.contextmanager
def _parameters(config: Config) -> Iterator[dict[str, Any]]:
    """libpq's parameters; the certificates' files that they name last as long as the context."""
    _reach(config)
    with tempfile.TemporaryDirectory() as folder:
        yield {
            "host": config.host,
            "port": config.port,
            "dbname": config.database,
            "user": config.username,
            "password": config.password,
            "application_name": "airbyte-source-postgres",
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "client_encoding": "utf8",
            "keepalives_idle": 30,
            **_tls(config, Path(folder)),
            **config.parameters,
        }


def _reach(config: Config) -> None:
    """Tell an unknown host from a closed port before libpq mixes them into one text."""
    where = f"{config.host}:{config.port}"
    try:
        socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConnectorError(
            f"Host {config.host!r} cannot be found ({said}); check host in the configuration.",
            "transient_error" if getattr(error, "errno", None) == socket.EAI_AGAIN else "config_error",
            internal=repr(error),
        ) from error
    try:
        socket.create_connection((config.host, config.port), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except ConnectionRefusedError as error:
        raise ConnectorError(
            f"Nothing listens on {where} (connection refused); check port in the configuration, and that Postgres "
            "runs and listens on that address.",
            "transient_error",  # a server that restarts listens again soon
            internal=repr(error),
        ) from error
    except OSError as error:
        raise ConnectorError(
            f"Host {where} cannot be reached ({error}); check host and port in the configuration, and firewalls.",
            "transient_error",
            internal=repr(error),
        ) from error


def _tls(config: Config, folder: Path) -> dict[str, Any]:
    """libpq's TLS parameters; it wants certificates as files and reads them while connecting."""
    parameters: dict[str, Any] = {"sslmode": config.ssl.mode}
    for parameter, text in (
        ("sslrootcert", config.ssl.ca_certificate),
        ("sslcert", config.ssl.client_certificate),
        ("sslkey", config.ssl.client_key),
    ):
        if text:
            path = folder / parameter
            path.touch(mode=0o600)
            path.write_text(text)
            parameters[parameter] = str(path)
    if config.ssl.client_key_password:
        parameters["sslpassword"] = config.ssl.client_key_password
    return parameters


def explained(error: psycopg.Error, doing: str) -> ConnectorError:
    """A failure of a query in words; what an administrator must change is a config_error, what may pass transient."""
    said = " ".join(str(error).split())
    failure_type: FailureType = "system_error"
    if isinstance(error, _LASTING_ERRORS):
        failure_type = "config_error"
    elif isinstance(error, psycopg.OperationalError):
        failure_type = "transient_error"
    explanation = ConnectorError(f"{doing} failed. Postgres said: {said}", failure_type)
    explanation.__cause__ = error
    return explanation
