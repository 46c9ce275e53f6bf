"""Real services for the suite, each on a free port and in a temporary folder, shared within one pytest process."""

from __future__ import annotations

import atexit
import gc
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from own_environment import AIRFLOW_HOME
from real_services import BIN, PROJECT, Database, free_port, wait_for_http

from local_stack.postgres import EmbeddedPostgres


def pytest_configure() -> None:
    """Take Ctrl-C: a suite in the background of a shell ignores it, and so would the commands that tests interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Going through all that Airflow, dbt and their manifests hold for cycles was a sixth of what dbt's tests cost here.
    gc.set_threshold(50_000)


def pytest_collection_finish() -> None:
    """What collection imported stays for good: until the end of the process, which would take it for leaks."""
    gc.freeze()
    atexit.register(gc.unfreeze)


def pytest_unconfigure() -> None:
    """Each process of the suite has a home for Airflow, the one that only hands out tests, too."""
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The whole job first, the long tail of short files last: two workers end together, and never run two Airflows."""
    order = (
        "test_main_job.py",
        "airbyte",
        "test_given_services.py",
        "bq_emulator",
        "dbt",
        "airflow",
    )

    def rank(item: pytest.Item) -> int:
        parts = item.path.relative_to(Path(__file__).parent).parts
        return next((place for place, name in enumerate(order) if name in parts), len(order))

    items.sort(key=rank)


#: This process's emulator and its log, once there is one.
_emulator: tuple[subprocess.Popen[bytes], Path] | None = None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that timed out shows what the emulator was at."""
    outcome: Any = yield
    if _emulator is None or call.excinfo is None or "Timeout (>" not in str(call.excinfo.value):
        return
    process, log = _emulator
    if process.poll() is None:
        process.send_signal(signal.SIGUSR1)
        time.sleep(1)
    outcome.get_result().sections.append((f"emulator (exit status {process.poll()})", log.read_text()[-20_000:]))


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """Airflow's home in this process."""
    return AIRFLOW_HOME


@pytest.fixture(scope="session")
def service_dir() -> Iterator[Path]:
    """A folder that every user may enter (Postgres runs unprivileged), removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="marketplace-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(service_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(
        service_dir / "postgres" / "data",
        free_port(),
        secrets.token_hex(8),
        settings={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"},
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_database(postgres_server: EmbeddedPostgres) -> Callable[[], Database]:
    """Call it for a fresh, empty database owned by a fresh role."""

    def create() -> Database:
        name = f"test_{uuid.uuid4().hex[:12]}"
        password = secrets.token_hex(8)
        postgres_server.ensure_role(name, password)
        postgres_server.ensure_database(name, name)
        return Database(
            postgres_server.host, postgres_server.port, name, name, password, postgres_server.conninfo(name)
        )

    return create


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Database:
    return new_database()


@pytest.fixture(scope="session")
def bigquery_endpoint(service_dir: Path) -> Iterator[str]:
    """The address of a running emulator with the project ``marketplace-analytics``."""
    port = free_port()
    log = service_dir / "bq-emulator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [BIN / "bq-emulator", "--port", str(port), "--data-dir", service_dir / "bigquery", "--project", PROJECT],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    global _emulator
    _emulator = process, log
    wait_for_http(f"http://127.0.0.1:{port}/healthz", process, log)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="session")
def bigquery_client(bigquery_endpoint: str) -> bigquery.Client:
    return bigquery.Client(
        PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": bigquery_endpoint}, location="US"
    )


@pytest.fixture
def dataset(bigquery_client: bigquery.Client) -> Iterator[str]:
    """A fresh dataset's name."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    bigquery_client.create_dataset(name)
    yield name
    bigquery_client.delete_dataset(name, delete_contents=True, not_found_ok=True)
