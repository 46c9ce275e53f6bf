"""``bq-emulator``: the emulator as a server."""

from __future__ import annotations

import faulthandler
import ipaddress
import logging
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
import uvicorn

from bq_emulator.duck import MEMORY_LIMIT, DataDirLocked
from bq_emulator.emulator import Emulator
from bq_emulator.rest.app import create_app
from bq_emulator.sql.frontend import GoogleSqlFrontend

if TYPE_CHECKING:
    from bq_emulator.storage_api.server import StorageServer


_LOG_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _check_memory(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?(%|[KMGT]i?B)", value):
        raise click.BadParameter(f"{value!r} is neither a share such as 25% nor a size such as 4GB.")
    return value


def _check_name(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.:-]*", value, re.ASCII):
        raise click.BadParameter(f"{value!r} is not a name of letters, digits, dashes, dots and colons.")
    return value


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=9050, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option(
    "--data-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that holds the project's data; one emulator at a time.",
)
@click.option("--project", required=True, callback=_check_name, help="The project to serve.")
@click.option("--location", default="US", callback=_check_name, help="The location of all its datasets.")
@click.option(
    "--gcs-dir",
    envvar="BQ_EMULATOR_GCS_DIR",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that stands for Cloud Storage: gs://bucket/x is bucket/x in it.  [default: gcs in the data folder]",
)
@click.option(
    "--grpc-port",
    envvar="BQ_EMULATOR_GRPC_PORT",
    show_envvar=True,
    type=click.IntRange(1, 65535),
    help="Port of the Storage Read API, which is not served without it.",
)
@click.option(
    "--memory-limit",
    default=MEMORY_LIMIT,
    callback=_check_memory,
    help="What DuckDB may use of the memory before it goes to disk: a share (25%) or a size (4GB).",
)
@click.option(
    "--analyzer",
    default="strict",
    type=click.Choice(["strict", "lenient"]),
    help="What SQL to take: strict is BigQuery's; lenient adds what GoogleSQL has beyond it: arrays compared and "
    "ordered, a SELECT list that uses its own aliases, STRING literals as BYTES, PI(), NULLIFZERO() and ZEROIFNULL().",
)
@click.option(
    "--log-level",
    default="info",
    type=click.Choice(list(_LOG_LEVELS)),
    help="What to log: each job at info, a failed one at warning.",
)
@click.option(
    "--log-format",
    default="json",
    type=click.Choice(["json", "console"]),
    help="One JSON object a line, or lines for people.",
)
def main(
    host: str,
    port: int,
    data_dir: Path,
    project: str,
    location: str,
    gcs_dir: Path | None,
    grpc_port: int | None,
    memory_limit: str,
    analyzer: str,
    log_level: str,
    log_format: str,
) -> None:
    """Serve BigQuery's REST API for one project from a local folder.

    There is no sign-in, so listen on other addresses than loopback only where everybody may read and write.

    kill -USR1 has it write what each of its threads is at.

    Clients are pointed here by their api_endpoint; Python's Storage client by
    BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=grpc.insecure_channel("127.0.0.1:PORT"))).
    """
    _log(log_level, log_format)
    # What every thread is at is told on request, and when the interpreter crashes.
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    sys.meta_path.insert(0, _WithoutPandas())
    # The event loop waits this long for the interpreter behind every thread that is at work in Python.
    sys.setswitchinterval(0.001)
    listener = _listen(host, port)
    if not is_loopback(host):
        structlog.get_logger("bq_emulator").warning(
            "reachable from other machines without sign-in: whoever reaches it may read and write", host=host
        )
    frontend = GoogleSqlFrontend(strict=analyzer == "strict")
    frontend.warm_up()
    try:
        emulator = Emulator(data_dir, project, location, frontend, gcs_dir, memory_limit)
    except DataDirLocked as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot use --data-dir {data_dir}: {error.strerror}") from error
    storage = _serve_storage(emulator, host, grpc_port) if grpc_port else None
    structlog.get_logger("bq_emulator").info("ready", url=f"http://{host}:{port}", project=project)
    config = uvicorn.Config(create_app(emulator), log_config=None, access_log=False, timeout_graceful_shutdown=1)
    # uvicorn raises the signal again once it has shut down; that must not end the process before the file is closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        if storage is not None:
            storage.close()
        if not emulator.close():
            faulthandler.dump_traceback()
            os._exit(1)


class _WithoutPandas:
    """Where pandas happens to be installed Arrow imports it, to see whether a list is a data frame: 0.3 s, 50 MB."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _serve_storage(emulator: Emulator, host: str, port: int) -> StorageServer:
    # Who does not want it does not wait for gRPC to be imported.
    from bq_emulator.storage_api.server import StorageServer

    try:
        return StorageServer(emulator, host, port)
    except RuntimeError as error:
        emulator.close()
        raise click.ClickException(
            f"cannot listen on {host}:{port}: stop what holds the port, or choose another --grpc-port"
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what holds the port, or choose another --host or "
            "--port"
        ) from error
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``, a name or an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _log(level: str, style: str) -> None:
    """Jobs and the emulator's own events on standard output; warnings of the server's libraries on standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if style == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(_LOG_LEVELS[level]),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
