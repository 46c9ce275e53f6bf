"""``…/jobs/{id}/attempts/{n}/logs``: why a job did what it did."""

from __future__ import annotations

import re
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from airbyte_server.api.requests import JobIdPath, existing
from airbyte_server.database import Attempt, Job
from airbyte_server.errors import not_found
from airbyte_server.replication.logs import attempt_log_path
from airbyte_server.replication.progress import totals
from airbyte_server.ui.connection_page import ConnectionPage
from airbyte_server.ui.page import Page, PageDep, PageRoute, redirect
from airbyte_server.ui.runs import run_of

router = APIRouter(prefix="/workspaces/{workspace_id}/connections/{connection_id}/jobs/{job_id}", route_class=PageRoute)

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")
ORIGINS = ("source", "destination", "platform")
_LINES_SHOWN = 2000
_TAIL_BYTES = 1_000_000
_LINE = re.compile(r"(?P<time>[\d-]+ [\d:.]+) (?P<level>[A-Z]+) \[(?P<origin>[^\]]+)\] (?P<text>.*)")


@dataclass(frozen=True)
class LogLine:
    time: str
    level: str
    origin: str
    text: str


@dataclass(frozen=True)
class Excerpt:
    """The last lines that were asked for; ``left_out``: whether there are more before them."""

    lines: list[LogLine]
    left_out: bool


def read_log(path: Path, q: str = "", level: str = "", origin: str = "") -> Excerpt:
    """The lines with the text ``q`` in any case, at least as grave as ``level``, written by ``origin``.

    Without a filter only the file's end is read, else all of it.
    """
    if not path.exists():
        return Excerpt([], False)
    wanted = LEVELS[LEVELS.index(level) :] if level in LEVELS else ()
    needle = q.lower().strip()
    lines: deque[LogLine] = deque(maxlen=_LINES_SHOWN)
    fitting, skipped = 0, False
    with path.open("rb") as file:
        if not (needle or wanted or origin):
            size = file.seek(0, 2)
            skipped = size > _TAIL_BYTES
            file.seek(max(0, size - _TAIL_BYTES))
            if skipped:
                file.readline()
        for raw in file:
            line = _parse(raw.decode(errors="replace").rstrip("\n"))
            if needle in line.text.lower() and (not wanted or line.level in wanted) and origin in ("", line.origin):
                lines.append(line)
                fitting += 1
    return Excerpt(list(lines), skipped or fitting > len(lines))


def _parse(text: str) -> LogLine:
    match = _LINE.fullmatch(text)
    return (
        LogLine(match["time"], match["level"], match["origin"], match["text"]) if match else LogLine("", "", "", text)
    )


@router.get("")
def latest_attempt(
    page: PageDep, workspace_id: uuid.UUID, connection_id: uuid.UUID, job_id: JobIdPath
) -> RedirectResponse:
    job = _job(page, connection_id, job_id)
    number = job.attempts[-1].number if job.attempts else 0
    return redirect(f"/workspaces/{workspace_id}/connections/{connection_id}/jobs/{job_id}/attempts/{number}/logs")


@router.get("/attempts/{number}/logs")
def logs(
    page: PageDep,
    workspace_id: uuid.UUID,
    connection_id: uuid.UUID,
    job_id: JobIdPath,
    number: int,
    q: str = "",
    level: str = "",
    origin: str = "",
) -> HTMLResponse:
    shown = ConnectionPage(page, workspace_id, connection_id)
    job = _job(page, connection_id, job_id)
    attempt = _attempt(job, number)
    return shown.render(
        "logs.html",
        "timeline",
        run=run_of(job),
        attempt=attempt,
        number=number,
        numbers=totals(attempt.stream_stats) if attempt else None,
        excerpt=read_log(_path(page, job_id, number), q, level, origin),
        levels=LEVELS,
        origins=ORIGINS,
        given={"q": q, "level": level, "origin": origin},
        filtered=bool(q or level or origin),
        busy=attempt is None or attempt.status == "running",
    )


@router.get("/attempts/{number}/logs/download")
def download(page: PageDep, connection_id: uuid.UUID, job_id: JobIdPath, number: int) -> Response:
    """The whole file."""
    _attempt(_job(page, connection_id, job_id), number)
    path = _path(page, job_id, number)
    if not path.exists():
        raise not_found("log", path.name)
    return FileResponse(path, media_type="text/plain; charset=utf-8", filename=f"job-{job_id}-{path.name}")


def _job(page: Page, connection_id: uuid.UUID, job_id: int) -> Job:
    job = existing(page.session, Job, job_id, "job")
    if job.connection_id != connection_id:
        raise not_found("job", job_id)
    return job


def _attempt(job: Job, number: int) -> Attempt | None:
    """None for the first one of a job that has not begun; a 404 problem for others that are not there."""
    found = next((attempt for attempt in job.attempts if attempt.number == number), None)
    if found is None and (job.attempts or number):
        raise not_found("attempt", number)
    return found


def _path(page: Page, job_id: int, number: int) -> Path:
    return attempt_log_path(page.services.settings.data_dir, job_id, number)
