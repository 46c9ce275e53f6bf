"""The connector's command line: spec, check, write."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from destination_bigquery import catalog
from destination_bigquery import config as configuration
from destination_bigquery.errors import ConnectorError
from destination_bigquery.protocol import Output


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits 0, or 1 after a TRACE ERROR message."""
    if arguments is None:
        sys.meta_path.insert(0, _WithoutPandas())
    options = _parser().parse_args(arguments)
    output = Output(sys.stdout.buffer)
    try:
        _run(options, output)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our messages is gone; nobody is left to tell. The interpreter must not flush again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:  # any failure whatever becomes a message of the protocol
        output.error(error)
        sys.exit(1)


class _WithoutPandas:
    """Where pandas happens to be installed Arrow imports it, to see whether a list is a data frame: 0.3 s, 50 MB."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="destination-bigquery", description="Airbyte destination connector for BigQuery."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("spec", help="print the configuration's specification")
    for name, text in (("check", "try the configuration"), ("write", "write the messages on stdin to BigQuery")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--config", required=True, type=Path, metavar="FILE")
        if name == "write":
            command.add_argument("--catalog", required=True, type=Path, metavar="FILE")
    return parser


def _run(options: argparse.Namespace, output: Output) -> None:
    if options.command == "spec":
        output.message("SPEC", "spec", orjson.loads(Path(__file__).with_name("spec.json").read_bytes()))
        return
    raw = _load(options.config, "configuration")
    output.mask(configuration.secrets(raw))
    if options.command == "check":
        _check(raw, output)
        return
    config = configuration.parse(raw)
    streams = catalog.parse(_load(options.catalog, "configured catalog"), config.dataset)
    output.log("INFO", f"Writing {len(streams)} streams to project {config.project}, dataset {config.dataset}.")
    from destination_bigquery import channel
    from destination_bigquery.writer import Writer

    path = channel.offered()
    lines = sys.stdin.buffer
    Writer(config, streams, output).write(channel.Merge(lines, path) if path else lines)


def _load(path: Path, what: str) -> dict[str, Any]:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConnectorError(f"The {what} {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConnectorError(f"The {what} {path} must hold a JSON object.")
    return content


def _check(raw: dict[str, Any], output: Output) -> None:
    try:
        config = configuration.parse(raw)
        from destination_bigquery.check import check

        check(config)
    except ConnectorError as error:
        output.log("ERROR", error.internal)
        message = output.masked(error.message)
        output.message("CONNECTION_STATUS", "connectionStatus", {"status": "FAILED", "message": message})
    else:
        output.message("CONNECTION_STATUS", "connectionStatus", {"status": "SUCCEEDED"})
