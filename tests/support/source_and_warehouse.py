"""An embedded Postgres and an emulator in a folder of their own, as the benchmarks of replication need them."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real_services import BIN, PROJECT, free_port, wait_for_http

from local_stack.postgres import EmbeddedPostgres


@dataclass(frozen=True)
class SourceAndWarehouse:
    folder: Path
    postgres: EmbeddedPostgres
    endpoint: str
    emulator: subprocess.Popen[bytes]


@contextmanager
def source_and_warehouse(prefix: str) -> Iterator[SourceAndWarehouse]:
    """Start both, in a temporary folder whose name begins with ``prefix``; end them and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)  # Postgres runs unprivileged
    postgres = EmbeddedPostgres(folder / "postgres" / "data", free_port(), secrets.token_hex(8))
    postgres.start()
    port, log = free_port(), folder / "emulator.log"
    with log.open("wb") as output:
        emulator = subprocess.Popen(
            [BIN / "bq-emulator", "--port", str(port), "--data-dir", folder / "bigquery", "--project", PROJECT],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for_http(f"{endpoint}/healthz", emulator, log)
        yield SourceAndWarehouse(folder, postgres, endpoint, emulator)
    finally:
        emulator.terminate()
        emulator.wait(20)
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
