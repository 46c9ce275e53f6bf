"""A connector's short commands: ``spec``, ``check`` and ``discover``, each one process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from airbyte_server.definitions import Definition
from airbyte_server.failures import Failure, failure_from_trace
from airbyte_server.replication.data_channel import OFFER
from airbyte_server.replication.processes import ConnectorProcess, Launcher
from airbyte_server.vault import Redactor

_TIMEOUTS = {"spec": 60, "check": 180, "discover": 600}
_OUTPUT_LINES_KEPT = 200


class ConnectorError(RuntimeError):
    """A connector command failed; ``failure`` tells why, ``log`` holds its (masked) last lines."""

    def __init__(self, failure: Failure, log: list[str]) -> None:
        super().__init__(failure.external_message)
        self.failure = failure
        self.log = log


@dataclass
class _Answer:
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user can read: configurations hold secrets."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


class ConnectorCommands:
    """Runs short commands in throw-away folders below ``work_dir``; specifications are asked for once."""

    def __init__(self, work_dir: Path, launcher: Launcher) -> None:
        self._work_dir = work_dir
        self._launcher = launcher
        self._specifications: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def specification(self, definition: Definition) -> dict[str, Any]:
        """The JSON Schema of the connector's configuration. Raises :class:`ConnectorError`."""
        return self._spec(definition)["connectionSpecification"]

    def takes_arrow(self, definition: Definition) -> bool:
        """Whether the connector can use the Arrow data channel. Raises :class:`ConnectorError`."""
        return OFFER in (self._spec(definition).get("dataChannels") or [])

    def _spec(self, definition: Definition) -> dict[str, Any]:
        with self._lock:
            key = (str(definition.id), definition.docker_image_tag)
            if key not in self._specifications:
                answer = self._run(definition, "spec", None)
                self._specifications[key] = self._expect(answer, "SPEC", "spec", definition)["spec"]
            return self._specifications[key]

    def check(self, definition: Definition, configuration: dict[str, Any]) -> tuple[bool, str | None, list[str]]:
        """Whether the connector can work with ``configuration``, why not, and its log."""
        try:
            answer = self._run(definition, "check", configuration)
            status = self._expect(answer, "CONNECTION_STATUS", "check", definition)["connectionStatus"]
        except ConnectorError as error:
            return False, str(error), error.log
        redact = self._redactor(definition, configuration)
        message = status.get("message")
        return status["status"] == "SUCCEEDED", redact(message) if message else None, answer.log

    def discover(self, definition: Definition, configuration: dict[str, Any]) -> dict[str, Any]:
        """The source's AirbyteCatalog. Raises :class:`ConnectorError`."""
        answer = self._run(definition, "discover", configuration)
        return self._expect(answer, "CATALOG", "discover", definition)["catalog"]

    def _redactor(self, definition: Definition, configuration: dict[str, Any]) -> Redactor:
        return Redactor((configuration, self.specification(definition)))

    def _expect(self, answer: _Answer, kind: str, command: str, definition: Definition) -> dict[str, Any]:
        if kind not in answer.messages:
            raise ConnectorError(
                Failure(
                    definition.kind, "system_error", f"connector {definition.name!r} ended {command} without a {kind}"
                ),
                answer.log,
            )
        return answer.messages[kind]

    def _run(self, definition: Definition, command: str, configuration: dict[str, Any] | None) -> _Answer:
        redact = self._redactor(definition, configuration) if configuration is not None else Redactor()
        answer = _Answer()
        with _folder(self._work_dir) as folder:
            try:
                arguments = [*definition.argv, command]
                if configuration is not None:
                    write_private(folder / "config.json", orjson.dumps(configuration))
                    arguments += ["--config", str(folder / "config.json")]
                process = self._launcher.start(
                    arguments, folder=folder, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
                )
            except OSError as error:
                raise ConnectorError(Failure(definition.kind, "system_error", redact(str(error))), []) from error
            overdue = threading.Timer(_TIMEOUTS[command], _kill_group, [process.pid])
            overdue.start()
            try:
                failure = _read(process, definition, answer, redact)
                status = process.wait()
            finally:
                timed_out = not overdue.is_alive()
                overdue.cancel()
                _kill_group(process.pid)
        if timed_out:
            message = f"connector {definition.name!r} did not end {command} within {_TIMEOUTS[command]} s"
            raise ConnectorError(Failure(definition.kind, "system_error", message), answer.log)
        if failure is not None:
            raise ConnectorError(failure, answer.log)
        if status != 0:
            last = answer.log[-1] if answer.log else "it wrote nothing"
            message = f"connector {definition.name!r} ended {command} with exit status {status}: {last}"
            raise ConnectorError(Failure(definition.kind, "system_error", message), answer.log)
        return answer


def _read(process: ConnectorProcess, definition: Definition, answer: _Answer, redact: Redactor) -> Failure | None:
    failure = None
    assert process.stdout is not None  # noqa: S101 - opened as a pipe above
    for line in process.stdout:
        try:
            message = orjson.loads(line)
            kind = message["type"]
        except (orjson.JSONDecodeError, TypeError, KeyError):
            answer.log.append(redact(line.decode(errors="replace").rstrip()))
        else:
            if kind == "LOG":
                answer.log.append(redact(f"{message['log'].get('level')} {message['log'].get('message')}"))
            elif kind == "TRACE" and message["trace"].get("type") == "ERROR":
                failure = failure_from_trace(definition.kind, message["trace"].get("error") or {}, redact)
                answer.log.append(f"ERROR {failure.external_message}")
            else:
                answer.messages[kind] = message
        del answer.log[:-_OUTPUT_LINES_KEPT]
    return failure


@contextlib.contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
