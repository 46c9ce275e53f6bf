"""Builds base and change side by side on services of their own and writes the report."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

from local_stack import headlines, stack
from local_stack.airbyte_api import AirbyteApi
from local_stack.board import Board
from local_stack.impact import marts, models, report
from local_stack.services import StackError
from local_stack.settings import LOOPBACK, ROOT, Settings, load

_OURS = ("AIRBYTE_", "AIRFLOW", "BIGQUERY_", "DBT_", "GOOGLE_", "METADATA_", "OCTAVIA_", "SOURCE_")
_CHANGES = 2  # octavia plan: there is something to apply
_SYNC_SECONDS = 600
_STEP = "Impact"


def of_commit(base: str, board: Board, scale: str) -> str:
    """The report for this folder's dbt project and connections against those of the commit ``base``.

    Raises:
        StackError: if git does not know ``base``, or one of the two cannot be built.
    """
    with tempfile.TemporaryDirectory(prefix="impact-") as scratch:
        folder = Path(scratch) / "base"
        done = subprocess.run(["git", "archive", base, "dbt", "airbyte"], cwd=ROOT, capture_output=True)
        if done.returncode != 0:
            raise StackError(f"BASE={base} cannot be compared with: {done.stderr.decode().strip()}")
        with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return of_folders(folder, ROOT, board, scale)


def of_folders(base: Path, change: Path, board: Board, scale: str) -> str:
    """The report for the dbt project and the connections in ``change`` against those in ``base``."""
    with _services(scale) as settings:
        board.set(_STEP, "Models", "busy")
        found = models.compare(settings.child_environment(), base / "dbt", change / "dbt", settings.home / "dbt")
        board.set(_STEP, "Models", "done", f"{len(found.changed)} changed")
        board.set(_STEP, "Services", "busy")
        stack.up(settings, board, airflow=False, connections=base / "airbyte")
        connections = _plan(settings, change)
        differences = (
            _marts(settings, found, base, change, bool(connections), board) if found.marts or connections else []
        )
    return report.markdown(found, differences, connections, scale)


def _marts(
    settings: Settings, found: models.ModelChanges, base: Path, change: Path, resync: bool, board: Board
) -> list[marts.MartDifference]:
    warehouse = headlines.client(settings)

    def build(name: str, project: Path, selected: list[str]) -> None:
        board.set(_STEP, f"Build of the {name}", "busy")
        target = f"--target-path={settings.home / 'dbt' / name}"
        select = [f"+{mart}" for mart in selected]
        # What it takes to see the rows; gates and tests are the suite's.
        types = [word for kind in ("test", "unit_test", "snapshot") for word in ("--exclude-resource-type", kind)]
        environment = settings.child_environment()
        models.run(environment, project / "dbt", "build", "--full-refresh", target, *types, "--select", *select)
        board.set(_STEP, f"Build of the {name}", "done")

    _sync(settings, board)
    if not found.marts:
        return []
    known = (base / "dbt" / "models").rglob("*.sql")
    before = sorted(set(found.marts) & {path.stem for path in known})
    if before:
        build("base", base, before)
        marts.keep(warehouse, before)
    else:
        marts.keep(warehouse, [])
    if resync:
        _octavia(settings, change, "apply", "--yes")
        _sync(settings, board)
    build("change", change, list(found.marts))
    return [marts.compare(warehouse, mart, key) for mart, key in found.marts.items()]


def _plan(settings: Settings, change: Path) -> str:
    """What ``octavia plan`` says of the change's files where the base's are applied; empty for nothing."""
    done = _octavia(settings, change, "plan", allowed=(0, _CHANGES))
    return done.stdout.strip().replace(f"{change}/", "") if done.returncode == _CHANGES else ""


def _octavia(
    settings: Settings, project: Path, *arguments: str, allowed: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [settings.bin / "octavia", "--directory", project / "airbyte", *arguments],
        env=settings.child_environment(),
        capture_output=True,
        text=True,
    )
    if done.returncode not in allowed:
        raise StackError(f"octavia {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return done


def _sync(settings: Settings, board: Board) -> None:
    board.set(_STEP, "Sync", "busy")
    airbyte = AirbyteApi(settings.airbyte.url, *settings.airbyte_credentials)
    for job in airbyte.start_syncs():
        deadline = time.monotonic() + _SYNC_SECONDS
        while (status := airbyte.job_status(job)) in ("pending", "running", "incomplete"):
            if time.monotonic() > deadline:
                raise StackError(f"The sync (job {job}) has not ended within {_SYNC_SECONDS} s.")
            time.sleep(0.2)
        if status != "succeeded":
            raise StackError(f"The sync (job {job}) ended as {status}; its log is below {settings.home}.")
    board.set(_STEP, "Sync", "done")


@contextlib.contextmanager
def _services(scale: str) -> Iterator[Settings]:
    """A stack of its own, on free ports and in a folder that goes with it; nothing of ``.env`` reaches it."""
    home = Path(tempfile.mkdtemp(prefix="impact-stack-"))
    home.chmod(0o755)  # Postgres may run as another user
    settings = load(home, _environment(scale))
    try:
        yield settings
    finally:
        stack.down(settings)
        data = settings.postgres_data
        if data.is_symlink():
            shutil.rmtree(data.resolve().parent, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def _environment(scale: str) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    postgres, bigquery, airbyte, airflow = _free_ports(4)
    return inherited | {
        "SOURCE_POSTGRES_PORT": str(postgres),
        "SOURCE_DB_SCALE": scale,
        "BIGQUERY_API_ENDPOINT": f"http://{LOOPBACK}:{bigquery}",
        "AIRBYTE_API_URL": f"http://{LOOPBACK}:{airbyte}/api/public/v1",
        "AIRFLOW__API__PORT": str(airflow),
    }


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]
