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


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits 0, or 1 after a TRACE ERROR message."""
    if arguments is None:
        sys.meta_path.insert(0, WithoutPandas())
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


class WithoutPandas:
    """Where pandas happens to be installed Arrow imports it, to see whether a list is a data frame: 0.3 s, 50 MB."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


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
            streams = _streams(connection, config)
        output.message("CATALOG", "catalog", {"streams": streams})
        return True
    # Arrow takes a noticeable part of the start-up time, and only reading has need of it.
    from source_postgres import sync

    configured = _load(options.catalog, "configured catalog")
    state = orjson.loads(options.state.read_bytes() or b"[]") if options.state else []
    return sync.read(config, configured, state, output)


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
        raise catalog.nothing_to_read(connection, config)
    return found


def _streams(connection: psycopg.Connection[Any], config: Config) -> list[dict[str, Any]]:
    tables = _tables(connection, config)
    if config.cdc is None:
        return [table.stream(config.replication) for table in tables]
    from source_postgres import slot

    shown = slot.published(connection, config.cdc)
    return [table.stream("CDC", published=slot.is_published(connection, shown, table)) for table in tables]


def _check(raw: dict[str, Any], output: Output) -> None:
    try:
        config = configuration.parse(raw)
        with _connect(config) as connection:
            tables = _tables(connection, config)
            if config.cdc is not None:
                from source_postgres import slot

                slot.check(connection, config, config.cdc, tables)
    except ConnectorError as error:
        output.log("ERROR", error.internal)
        output.message("CONNECTION_STATUS", "connectionStatus", {"status": "FAILED", "message": error.message})
    else:
        output.message("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
