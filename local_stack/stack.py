"""Brings the whole stack up, step by step, and takes it down again."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO

import psutil
import psycopg

from local_stack import databases, services
from local_stack.airflow_api import AirflowApi
from local_stack.board import Board
from local_stack.postgres import SUPERUSER, PostgresError
from local_stack.processes import end, marked
from local_stack.services import Service, StackError
from local_stack.settings import ROOT, Settings

_Starter = Callable[..., "Command"]
SERVICES = "Services"
PREPARATION = "Preparation"
START_SECONDS = 180.0
WITHOUT_AIRFLOW = ("bigquery", "airbyte")


@dataclass
class Command:
    """A command that runs to its end while other things go on; its output goes to ``log``."""

    title: str
    process: subprocess.Popen[bytes]
    log: Path
    advice: str

    @classmethod
    def start(cls, title: str, command: Sequence[str], settings: Settings, advice: str = "") -> Command:
        log = settings.logs / f"{title.replace(' ', '-').lower()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=settings.home,
                env=settings.child_environment(),
            )
        return cls(title, process, log, advice)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace").strip()

    def finished(self) -> bool:
        """Whether it ended well; raises StackError, with its output, if it ended badly."""
        status = self.process.poll()
        if status:
            tail = "\n".join(self.output.splitlines()[-30:])
            raise StackError(
                "\n".join(filter(None, [f"{self.title} failed (exit status {status}):", tail, self.advice]))
            )
        return status == 0


def up(settings: Settings, board: Board, *, airflow: bool = True, connections: Path = ROOT / "airbyte") -> None:
    """Start whatever is not running, prepare the source and the connections, and wait until all is healthy.

    Without ``airflow`` its four processes and what they need are left out; ``connections`` is octavia's folder.

    Raises:
        StackError: with what is wrong and what to do; services that came up stay up.
    """
    with _only_one(settings):
        wanted = [service for service in services.check_ports(settings) if airflow or service.name in WITHOUT_AIRFLOW]
        _require_given_services(settings, wanted)
        _start_postgres(settings, board)
        with contextlib.ExitStack() as running:
            _bring_up(settings, board, wanted, connections, running)


def down(settings: Settings) -> list[str]:
    """Stop everything that the stack started; the names of what was running."""
    alive = [service for service in services.embedded_services(settings) if service.background.process() is not None]
    stopped = [service.title for service in alive]
    # All are told at once: each takes seconds to end.
    for process in filter(None, (service.background.process() for service in alive)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    for service in alive:
        service.background.stop()
    end(marked(settings.home))
    server = services.postgres(settings)
    if server.data_dir.exists() and server.pid() is not None:
        stopped.append("Postgres")
        server.stop()
    return stopped


def _bring_up(
    settings: Settings, board: Board, wanted: list[Service], connections: Path, running: contextlib.ExitStack
) -> None:
    airflow = [service for service in wanted if service.name.startswith("airflow-")]
    others = [service for service in wanted if service not in airflow]

    def command(title: str, arguments: Sequence[str], advice: str = "") -> Command:
        started = Command.start(title, arguments, settings, advice)
        running.callback(_end_command, started)
        board.set(PREPARATION, title, "busy")
        return started

    for service in others:
        service.start()
    seed = _seed(settings, command)
    manifest = _manifest(settings, command) if airflow else None
    migration = _migration(settings, command, airflow)

    _finish(board, migration)
    if migration:
        _migrated_stamp(settings).write_text(_migrated_state(settings))
    _finish(board, manifest)
    _write_airflow_passwords(settings)
    for service in airflow:
        service.start()
    _finish(board, seed)
    _finish(board, _change_data_capture(settings, command))
    _wait_for(others, board)
    octavia = command(
        "Airbyte connections",
        [str(settings.bin / "octavia"), "--directory", str(connections), "apply", "--yes"],
        "Correct the setting or the file named above, then run this again. Nothing was lost.",
    )
    _finish(board, octavia)
    _wait_for(airflow, board)
    if airflow:
        AirflowApi(settings.airflow_url, "admin", "admin").add_missing_pools()


def _start_postgres(settings: Settings, board: Board) -> None:
    board.set(SERVICES, "Postgres", "busy", f"port {settings.postgres_port}")
    server = services.postgres(settings)
    try:
        server.start()
    except PostgresError as error:
        raise StackError(str(error)) from error
    source = settings.source
    demo = databases.DemoSource(settings.source_db_dsn, source["DATABASE"], source["USER"], source["PASSWORD"])
    databases.prepare(
        server.conninfo(),
        {name: settings.secrets[f"{name}_database_password"] for name in databases.METADATA_DATABASES},
        demo if settings.source_is_embedded else None,
        keep=SUPERUSER,
    )
    board.set(SERVICES, "Postgres", "done", f"port {settings.postgres_port}")


def _seed(settings: Settings, command: _Starter) -> Command | None:
    if not settings.source_is_embedded:
        return None
    return command(
        "Demo data",
        [str(settings.bin / "source-db"), "seed", f"--scale={settings.get('SOURCE_DB_SCALE', '1')}", "--if-empty"],
    )


def _change_data_capture(settings: Settings, command: _Starter) -> Command | None:
    """The demo database's slot and publication, where the connections are applied with the overlay ``cdc``."""
    if not settings.source_is_embedded or settings.get("OCTAVIA_ENVIRONMENT") != "cdc":
        return None
    return command("Change data capture", [str(settings.bin / "source-db"), "cdc"])


def _manifest(settings: Settings, command: _Starter) -> Command | None:
    """dbt's manifest, from which Airflow draws a task per model; made again when a file of the project has changed."""
    project = ROOT / "dbt"
    # Beside them is what `make dbt` writes: the SQL it compiled.
    folders = [folder for folder in project.iterdir() if folder.is_dir() and folder.name not in ("target", "logs")]
    files = [*project.iterdir(), *(path for folder in folders for path in folder.rglob("*"))]
    newest = max(path.stat().st_mtime for path in files if path.suffix in {".sql", ".yml", ".csv", ".md"})
    if settings.dbt_manifest.exists() and settings.dbt_manifest.stat().st_mtime > newest:
        return None
    return command(
        "dbt manifest",
        [
            str(settings.bin / "dbt"),
            "--quiet",
            "parse",
            # As the scheduler's own warm-up and the tasks do: with other arguments dbt starts from scratch there.
            "--profile=marketplace",
            f"--target={settings.child_environment()['DBT_TARGET']}",
            f"--target-path={settings.dbt_manifest.parent}",
            f"--log-path={settings.logs / 'dbt'}",
        ],
        "Correct the file named above, then run this again.",
    )


def _migration(settings: Settings, command: _Starter, airflow: list[Service]) -> Command | None:
    stamp = _migrated_stamp(settings)
    if not airflow or (stamp.exists() and stamp.read_text() == _migrated_state(settings)):
        return None
    return command("Airflow database", [str(settings.bin / "airflow"), "db", "migrate"])


def _migrated_stamp(settings: Settings) -> Path:
    return settings.home / "run" / "airflow-database-migrated"


def _migrated_state(settings: Settings) -> str:
    """Of the migration's program and target: another Airflow or another cluster must be migrated again."""
    cluster = (settings.postgres_data.resolve() / "PG_VERSION").stat().st_ino
    return f"{version('apache-airflow')} {cluster}"


def _write_airflow_passwords(settings: Settings) -> None:
    settings.airflow_home.mkdir(parents=True, exist_ok=True)
    (settings.airflow_home / "passwords.json").write_text(json.dumps({"admin": "admin"}))


def _finish(board: Board, command: Command | None) -> None:
    if command is None:
        return
    try:
        while not command.finished():
            time.sleep(0.1)
    except StackError:
        board.set(PREPARATION, command.title, "failed")
        raise
    last = command.output.rpartition("\n")[2]
    board.set(PREPARATION, command.title, "done", last if last[:1].isalnum() and len(last) < 100 else "")


def _wait_for(wanted: list[Service], board: Board) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = list(wanted)
    for service in waiting:
        board.set(SERVICES, service.title, "busy", service.url)
    while waiting:
        for service in list(waiting):
            if service.is_healthy():
                board.set(SERVICES, service.title, "done", service.url)
                waiting.remove(service)
                continue
            try:
                service.require_life()
            except StackError:
                board.set(SERVICES, service.title, "failed", service.url)
                raise
        if waiting and time.monotonic() > deadline:
            service = waiting[0]
            board.set(SERVICES, service.title, "failed", service.url)
            raise StackError(
                f"{service.title} was not healthy after {START_SECONDS:.0f} s. "
                f"The end of {service.background.log}:\n{service.background.log_tail()}"
            )
        # Each answer costs the starting service, too.
        time.sleep(0.25)


def _require_given_services(settings: Settings, wanted: list[Service]) -> None:
    """Services that the user named must be usable before anything is started on their behalf."""
    started = {service.name for service in wanted}
    if "airbyte" not in started and not services.answers(f"{settings.airbyte.url}/health"):
        raise StackError(
            f"AIRBYTE_API_URL is {settings.airbyte.url}, but no healthy Airbyte answers there. "
            "Start it or correct the address (its path ends in /api/public/v1, or /v1 on Airbyte Cloud)."
        )
    if "bigquery" not in started:
        _require_warehouse(settings)
    if not settings.source_is_embedded:
        _require_source(settings)


def _require_warehouse(settings: Settings) -> None:
    # Only here: Google's client takes a second to import, and the emulator is not asked by it.
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    from local_stack import headlines

    address = settings.bigquery.url or "Google"
    try:
        list(headlines.client(settings).list_datasets(max_results=1, retry=DEFAULT_RETRY.with_timeout(20), timeout=20))
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError) as error:
        raise StackError(
            f"The warehouse of BIGQUERY_PROJECT={settings.bigquery_project} at BIGQUERY_API_ENDPOINT ({address}) "
            f"cannot be used: {error}\nCorrect these settings or the credentials."
        ) from error


def _require_source(settings: Settings) -> None:
    source = settings.source
    try:
        psycopg.connect(
            host=source["HOST"],
            port=source["PORT"],
            dbname=source["DATABASE"],
            user=source["USER"],
            password=source["PASSWORD"],
            connect_timeout=10,
        ).close()
    except psycopg.OperationalError as error:
        raise StackError(
            f"The source database of SOURCE_POSTGRES_HOST={source['HOST']}, SOURCE_POSTGRES_PORT={source['PORT']}, "
            f"SOURCE_POSTGRES_DATABASE={source['DATABASE']}, SOURCE_POSTGRES_USER={source['USER']} "
            f"cannot be used: {str(error).strip()}\nCorrect these settings or SOURCE_POSTGRES_PASSWORD."
        ) from error


def _end_command(command: Command) -> None:
    if command.process.poll() is None:
        command.process.terminate()
        command.process.wait()


@contextlib.contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Two at once would start every service twice. The lock goes with the process, however it ends."""
    lock: IO[str] = (settings.home / "run" / "lock").open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(f"Another command is starting the stack in {settings.home}: wait for it.") from error
        yield
