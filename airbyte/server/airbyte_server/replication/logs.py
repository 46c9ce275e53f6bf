"""An attempt's log: one file, secrets masked, read by people and by ``jobs/get``; old ones make room."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from airbyte_server.settings import LogLimits

_LINES_SHOWN = 5000
_BYTES_SHOWN = 2_000_000
_LINE_LIMIT = 20_000


class AttemptLog:
    """Appends ``time level [origin] message`` lines, up to ``limit`` bytes; safe to use from several threads."""

    def __init__(self, path: Path, redact: Callable[[str], str], limit: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.redact = redact
        self._file = path.open("a", encoding="utf-8", errors="replace", buffering=1)
        self._lock = threading.Lock()
        self._limit = limit
        self._room = limit - path.stat().st_size

    def write(self, level: str, origin: str, message: str) -> None:
        moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        for line in self.redact(message).splitlines() or [""]:
            text = f"{moment} {level} [{origin}] {line[:_LINE_LIMIT]}\n"
            with self._lock:
                if self._room <= 0 or self._file.closed:
                    return
                self._room -= len(text)
                self._file.write(text)
                if self._room <= 0:
                    self._file.write(
                        f"{moment} WARN [platform] the log reached {self._limit} bytes; the rest is left out\n"
                    )

    def __enter__(self) -> AttemptLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._file.close()


def attempt_log_path(data_dir: Path, job_id: int, number: int) -> Path:
    return data_dir / "logs" / "jobs" / str(job_id) / f"attempt-{number}.log"


def remove_old_logs(data_dir: Path, limits: LogLimits) -> None:
    """Remove what is too old, and of the rest the oldest until it fits."""
    logs = []
    for path in (data_dir / "logs" / "jobs").glob("*/attempt-*.log"):
        with contextlib.suppress(FileNotFoundError):  # another attempt removes logs, too
            status = path.stat()
            logs.append((status.st_mtime, status.st_size, path))
    oldest, total = time.time() - limits.days * 86400, 0
    for modified, size, path in sorted(logs, reverse=True):
        total += size
        if modified < oldest or total > limits.total_bytes:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another attempt of the job has a log
                path.parent.rmdir()


def last_lines(path: Path) -> list[str]:
    """The end of a log, as much as an answer can carry; empty when there is none."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _BYTES_SHOWN))
        lines = file.read().decode(errors="replace").splitlines()
    shown = lines[-_LINES_SHOWN:]
    return (
        shown if size <= _BYTES_SHOWN and len(lines) == len(shown) else [f"… (the whole log is in {path.name})", *shown]
    )
