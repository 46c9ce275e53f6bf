"""``airbyte-server``: start the embedded Airbyte."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click
import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from airbyte_server.app import create_app
from airbyte_server.services import Services
from airbyte_server.settings import Settings, SettingsError
from airbyte_server.vault import VaultError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--database-url",
    envvar="AIRBYTE_DATABASE_URL",
    show_envvar=True,
    required=True,
    metavar="URL",
    help="Metadata database: postgresql://user:password@host/name. Better from the environment: anyone on the machine "
    "can read command lines.",
)
@click.option(
    "--data-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for attempts' logs, connectors' working files and the generated secrets key.",
)
def main(host: str, port: int, database_url: str, data_dir: Path) -> None:
    """Serve the Airbyte API and run its jobs.

    The environment must hold AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET, with which clients log in. Optional:
    AIRBYTE_SECRETS_KEY (Fernet keys, the newest first; else one is generated in the data folder),
    AIRBYTE_CONNECTORS_FILE (YAML list of further connectors), AIRBYTE_MANIFESTS_DIR (folder of low-code manifests, one
    source each), AIRBYTE_DECLARED_DIR (octavia's folder, which the UI compares with what is there), AIRBYTE_UI_SIGN_IN
    (yes: the UI asks for credentials also for reading on a loopback address), AIRBYTE_MAX_CONCURRENT_JOBS,
    AIRBYTE_SCHEMA_MAX_AGE_SECONDS (a sync discovers the source anew when that was longer ago; a day),
    AIRBYTE_SOURCE_HEARTBEAT_SECONDS, AIRBYTE_DESTINATION_TIMEOUT_SECONDS, AIRBYTE_ATTEMPT_TIMEOUT_SECONDS,
    AIRBYTE_LOG_{ATTEMPT_BYTES,TOTAL_BYTES,DAYS}, AIRBYTE_RETRY_BACKOFF_SECONDS and
    AIRBYTE_RETRY_{SUCCESSIVE,TOTAL}_{COMPLETE,PARTIAL}_FAILURES.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_environment(host=host, port=port, database_url=database_url, data_dir=data_dir)
        services = Services.open(settings)
    except (SettingsError, VaultError, RuntimeError, OSError) as error:
        sys.exit(f"airbyte-server: {error}")
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip()
        sys.exit(f"airbyte-server: the metadata database (--database-url) cannot be used: {cause}")
    server = uvicorn.Server(
        uvicorn.Config(create_app(services), host=host, port=port, log_config=None, access_log=False)
    )
    server.run()
    if not server.started:
        sys.exit(1)
