"""The services of the stack: how each is started, how it is found healthy, and in which order they stop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from local_stack.postgres import EmbeddedPostgres
from local_stack.processes import Background, port_holder, port_is_free
from local_stack.settings import ROOT, Address, Settings

_AIRFLOW_SETTINGS = ("AIRFLOW", "ALERT_", "BIGQUERY_", "DBT_", "GOOGLE_", "PIPELINE_", "PYTHONPATH", "RUN_REPORT_DIR")
#: Tasks are forked from the scheduler: they look at the source's slots, and compare connections by octavia.
_TASK_SETTINGS = ("OCTAVIA_", "SOURCE_POSTGRES_")
AIRFLOW_COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")


class StackError(Exception):
    """Something keeps the stack from working; the message says what, and what to do."""


@dataclass(frozen=True)
class Service:
    """One background service of the stack.

    ``settings`` names the prefixes of the variables and ``code`` the folders of this project that it depends on: it is
    restarted when one of them has changed.
    """

    name: str
    title: str
    url: str
    command: tuple[str, ...]
    environment: dict[str, str]
    settings: tuple[str, ...]
    code: tuple[str, ...]
    background: Background
    is_healthy: Callable[[], bool]

    def start(self) -> bool:
        """Start the process unless it runs with the present settings; whether a new one was started."""
        settings = {name: value for name, value in self.environment.items() if name.startswith(self.settings)}
        settings["code"] = _digest(self.code)
        if self.background.is_current(self.command, settings):
            return False
        self.background.stop()
        self.background.start(self.command, self.environment, settings)
        return True

    def state(self) -> str:
        """``running``, ``starting`` (alive, not healthy yet) or ``stopped``."""
        if self.background.process() is None:
            return "stopped"
        return "running" if self.is_healthy() else "starting"

    def require_life(self) -> None:
        """Raise StackError, with the end of the log, if the process has ended."""
        if self.background.process() is None:
            raise StackError(
                f"{self.title} ended while starting. The end of {self.background.log}:\n{self.background.log_tail()}"
            )


def require(settings: Settings, names: Collection[str]) -> None:
    """See that the embedded services of these names answer; given ones are not ours to judge.

    Raises:
        StackError: naming the first that does not. (Google's client would try again for ten minutes, without a word.)
    """
    for service in embedded_services(settings):
        if service.name in names and not service.is_healthy():
            raise StackError(f"{service.title} at {service.url} does not answer. Start the services with: make up")


@cache
def _http() -> httpx.Client:
    """One for all questions: each client of its own reads the certificates, 25 ms, and services are asked often."""
    return httpx.Client(timeout=5)


def answers(url: str) -> bool:
    """Whether a GET on ``url`` gives 200."""
    try:
        return _http().get(url).status_code == 200
    except httpx.HTTPError:
        return False


def airflow_health(url: str) -> dict[str, Any]:
    """Airflow's own health report by component; empty while it does not answer."""
    try:
        response = _http().get(f"{url}/api/v2/monitor/health")
        return response.json() if response.status_code == 200 else {}
    except (httpx.HTTPError, ValueError):
        return {}


def postgres(settings: Settings) -> EmbeddedPostgres:
    return EmbeddedPostgres(
        settings.postgres_data, settings.postgres_port, settings.secrets["postgres_superuser_password"]
    )


def embedded_services(settings: Settings) -> list[Service]:
    """All services but Postgres, in the order they start. Given ones (other hosts, Google) are not among them."""
    services = []
    if settings.bigquery.embedded:
        services.append(_bigquery(settings))
    if settings.airbyte.embedded:
        services.append(_airbyte(settings))
    return services + _airflow(settings)


def check_ports(settings: Settings) -> list[Service]:
    """The embedded services to run. One whose address the user chose, and where it answers already, is left out.

    Raises:
        StackError: if something else holds a port that one of them needs. Nothing has been started then.
    """
    server = postgres(settings)
    running = server.data_dir.exists() and server.pid() is not None
    if not running and not port_is_free(settings.postgres_port):
        raise _taken("Postgres", settings.postgres_port, settings.postgres_setting, settings.postgres_port + 10)
    wanted = []
    checked = set()
    for service in embedded_services(settings):
        address = _address(service, settings)
        if address.port in checked or service.background.process() is not None or port_is_free(address.port):
            wanted.append(service)
        elif service.name in ("airbyte", "bigquery") and settings.get(address.setting) and service.is_healthy():
            continue
        else:
            other = address.port + 10
            value = other if address.setting == "AIRFLOW__API__PORT" else _with_port(address.url, other)
            raise _taken(service.title, address.port, address.setting, value)
        checked.add(address.port)
    return wanted


def _taken(title: str, port: int, setting: str, example: object) -> StackError:
    return StackError(
        f"{title} needs port {port}, but {port_holder(port)} holds it. "
        f"Stop that program, or choose another port: {setting}={example}. Nothing was started."
    )


def _with_port(url: str, port: int) -> str:
    return str(httpx.URL(url).copy_with(port=port))


def _address(service: Service, settings: Settings) -> Address:
    addresses = {"bigquery": settings.bigquery, "airbyte": settings.airbyte}
    return addresses.get(service.name, Address(settings.airflow_url, "AIRFLOW__API__PORT", embedded=True))


def _bigquery(settings: Settings) -> Service:
    return Service(
        name="bigquery",
        title="BigQuery emulator",
        url=settings.bigquery.url,
        command=(
            str(settings.bin / "bq-emulator"),
            "--host=127.0.0.1",
            f"--port={settings.bigquery.port}",
            f"--data-dir={settings.home / 'bigquery'}",
            f"--project={settings.bigquery_project}",
            f"--location={settings.bigquery_location}",
        ),
        environment=settings.child_environment(),
        settings=("BIGQUERY_",),
        code=("bq_emulator",),
        background=Background("bigquery", settings.home),
        is_healthy=lambda: answers(f"{settings.bigquery.url}/healthz"),
    )


def _airbyte(settings: Settings) -> Service:
    return Service(
        name="airbyte",
        title="Airbyte",
        url=_with_path(settings.airbyte.url, "/"),
        command=(
            str(settings.bin / "airbyte-server"),
            "--host=127.0.0.1",
            f"--port={settings.airbyte.port}",
            f"--data-dir={settings.home / 'airbyte'}",
        ),
        # In the environment, not on the command line: every user of the machine can read command lines.
        environment=settings.child_environment()
        | {
            "AIRBYTE_DATABASE_URL": settings.metadata_url("airbyte"),
            "AIRBYTE_MANIFESTS_DIR": settings.get("AIRBYTE_MANIFESTS_DIR", str(ROOT / "airbyte" / "manifests")),
            "AIRBYTE_DECLARED_DIR": settings.get("AIRBYTE_DECLARED_DIR", str(ROOT / "airbyte")),
        },
        settings=("AIRBYTE_",),
        # The review UI reads the declared files with octavia's code.
        code=("airbyte/server", "airbyte/manifests", "airbyte/octavia/octavia"),
        background=Background("airbyte", settings.home),
        is_healthy=lambda: answers(f"{settings.airbyte.url}/health"),
    )


def _airflow(settings: Settings) -> list[Service]:
    def healthy(component: str) -> Callable[[], bool]:
        # The API server is healthy when it answers at all; the others report through the metadata database.
        key = {"api-server": "metadatabase", "dag-processor": "dag_processor"}.get(component, component)
        return lambda: airflow_health(settings.airflow_url).get(key, {}).get("status") == "healthy"

    arguments = {"scheduler": ("--skip-serve-logs",), "triggerer": ("--skip-serve-logs",)}
    return [
        Service(
            name=f"airflow-{component}",
            title=f"Airflow {component}",
            url=settings.airflow_url,
            command=(str(settings.bin / "airflow"), component, *arguments.get(component, ())),
            environment=settings.child_environment(),
            settings=(*_AIRFLOW_SETTINGS, *(_TASK_SETTINGS if component == "scheduler" else ())),
            # The DAG files themselves are read again by the DAG processor.
            code=("airflow/config", "airflow/include"),
            background=Background(f"airflow-{component}", settings.home),
            is_healthy=healthy(component),
        )
        for component in AIRFLOW_COMPONENTS
    ]


def _with_path(url: str, path: str) -> str:
    return str(httpx.URL(url).copy_with(path=path))


def _digest(folders: tuple[str, ...]) -> str:
    """Changes whenever a source file of these folders, or the lock of the dependencies, does."""
    files = [ROOT / "requirements.lock"]
    for folder in folders:
        files += sorted(
            path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )
    return hashlib.sha256("".join(f"{path} {path.stat().st_mtime_ns}" for path in files).encode()).hexdigest()
