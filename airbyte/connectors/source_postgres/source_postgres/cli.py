"""The connector's command line: spec, check, discover, read."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from source_postgres import config as configuration
from source_postgres.config import Config
from source_postgres.errors import ConnectorError
from source_postgres.protocol import Output

if TYPE_CHECKING:
    import psycopg

    from source_postgres.catalog import Table
    from source_postgres.state import StreamState


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits 0, or 1 after a TRACE ERROR message."""
    options = _parser().parse_args(arguments)
    output = Output(sys.stdout.buffer)
    try:
        succeeded = _run(options, output)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our messages is gone; nobody is left to tell. The interpreter must not flush again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # any failure whatever becomes a message of the protocol
        output.error(error)
        sys.exit(1)
    sys.exit(0 if succeeded else 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="source-postgres", description="Airbyte source connector for Postgres.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("spec", help="print the configuration's specification")
    for name, text in (
        ("check", "try the configuration"),
        ("discover", "print the catalog"),
        ("read", "print the records of the configured streams"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--config", required=True, type=Path, metavar="FILE")
        if name == "read":
            command.add_argument("--catalog", required=True, type=Path, metavar="FILE")
            command.add_argument("--state", type=Path, metavar="FILE")
    return parser


def _run(options: argparse.Namespace, output: Output) -> bool:
    if options.command == "spec":
        output.message("SPEC", "spec", orjson.loads(Path(__file__).with_name("spec.json").read_bytes()))
        return True
    raw = _load(options.config, "configuration")
    output.mask(configuration.secrets(raw))
    if options.command == "check":
        _check(raw, output)
        return True
    config = configuration.parse(raw)
    if options.command == "discover":
        with _connect(config) as connection:
            streams = [table.stream() for table in _tables(connection, config)]
        output.message("CATALOG", "catalog", {"streams": streams})
        return True
    catalog = _load(options.catalog, "configured catalog")
    state = orjson.loads(options.state.read_bytes() or b"[]") if options.state else []
    return _read(config, catalog, state, output)


def _load(path: Path, what: str) -> dict[str, Any]:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConnectorError(f"The {what} {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConnectorError(f"The {what} {path} must hold a JSON object.")
    return content


def _connect(config: Config) -> psycopg.Connection[Any]:
    # psycopg takes a noticeable part of the start-up time, and spec has no need of it.
    from source_postgres.connection import connect

    return connect(config)


def _tables(connection: psycopg.Connection[Any], config: Config) -> list[Table]:
    from source_postgres import catalog

    found = catalog.tables(connection, config)
    if not found:
        where = f"schema {', '.join(config.schemas)}" if config.schemas else f"database {config.database}"
        raise ConnectorError(
            f"User {config.username!r} can read no table in {where}; "
            f"GRANT USAGE ON SCHEMA … and GRANT SELECT ON ALL TABLES IN SCHEMA … TO {config.username}, "
            "or check schemas in the configuration."
        )
    return found


def _check(raw: dict[str, Any], output: Output) -> None:
    try:
        config = configuration.parse(raw)
        with _connect(config) as connection:
            _tables(connection, config)
    except ConnectorError as error:
        output.log("ERROR", error.internal)
        output.message("CONNECTION_STATUS", "connectionStatus", {"status": "FAILED", "message": error.message})
    else:
        output.message("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})


def _read(config: Config, catalog: dict[str, Any], raw_state: Any, output: Output) -> bool:
    """Read every configured stream; one that fails is reported and does not stop the others."""
    from source_postgres.reader import ConfiguredStream
    from source_postgres.state import parse_states

    streams = [ConfiguredStream.parse(stream) for stream in catalog.get("streams", [])]
    states = parse_states(raw_state)
    output.log("INFO", f"Reading {len(streams)} streams from {config.host}:{config.port}/{config.database}.")
    connection = _connect(config)
    try:
        tables = {(table.namespace, table.name): table for table in _tables(connection, config)}
        succeeded = True
        for stream in streams:
            if connection.closed:
                connection = _connect(config)
            succeeded &= _read_stream(connection, config, stream, tables, states, output)
        return succeeded
    finally:
        connection.close()


def _read_stream(
    connection: psycopg.Connection[Any],
    config: Config,
    stream: Any,
    tables: dict[tuple[str, str], Table],
    states: dict[tuple[str, str | None], StreamState],
    output: Output,
) -> bool:
    import psycopg

    from source_postgres.connection import explained
    from source_postgres.reader import StreamReader

    output.status(stream.name, stream.namespace, "STARTED")
    try:
        table = tables.get((stream.namespace or "public", stream.name))
        if table is None:
            raise ConnectorError(
                f"Table {stream} does not exist in database {config.database!r}, is outside the configured schemas, or "
                f"user {config.username!r} may not read it; refresh the connection's schema or restore the table."
            )
        reader = StreamReader(connection, output, stream, table, config.checkpoint_seconds)
        reader.read(states.get((stream.name, stream.namespace)))
    except (ConnectorError, psycopg.Error) as error:
        failure = error if isinstance(error, ConnectorError) else explained(error, f"Reading stream {stream}")
        output.error(failure, (stream.name, stream.namespace))
        output.status(stream.name, stream.namespace, "INCOMPLETE")
        return False
    output.status(stream.name, stream.namespace, "COMPLETE")
    return True
