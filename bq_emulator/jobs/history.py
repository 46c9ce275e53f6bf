"""Jobs as recorded in ``__bq.jobs``, each in the transaction of its caller."""

from __future__ import annotations

from typing import Any

import orjson

from bq_emulator.duck import Session
from bq_emulator.jobs.job import Job
from bq_emulator.metadata import new_etag, now_ms

#: Google's history (https://cloud.google.com/bigquery/docs/managing-jobs), and how much of it is kept at most.
HISTORY_MS = 180 * 24 * 3600 * 1000
MAX_JOBS = 100_000


def text(job: Job, state: str | None = None) -> str:
    """REST's Job; ``state`` in place of the present one."""
    return orjson.dumps(job.resource(state)).decode()


def insert(db: Session, job: Job) -> None:
    db.execute(
        "INSERT INTO __bq.jobs (job_id, created_ms, state, resource, parent_job_id) VALUES (?, ?, ?, ?, ?)",
        [
            job.job_id,
            int(job.statistics["creationTime"]),
            job.state,
            text(job),
            job.statistics.get("parentJobId"),
        ],
    )


def save_done(db: Session, job: Job) -> None:
    """Record the end of a job that was recorded when it was accepted."""
    job.etag = new_etag()
    db.execute("UPDATE __bq.jobs SET state = 'DONE', resource = ? WHERE job_id = ?", [text(job, "DONE"), job.job_id])


def save_child(db: Session, child: Job) -> None:
    """Record a script's statement that is done."""
    child.state = "DONE"
    child.etag = new_etag()
    child.statistics["endTime"] = str(now_ms())
    insert(db, child)


def find(db: Session, job_id: str) -> str | None:
    """The text of REST's Job."""
    found: str | None = db.scalar("SELECT resource FROM __bq.jobs WHERE job_id = ?", [job_id])
    return found


def page(
    db: Session, states: set[str], since_ms: int, until_ms: int, offset: int, limit: int, parent: str | None
) -> list[tuple[str, dict[str, Any]]]:
    """Ids and resources, newest first: of the children of ``parent``, or of jobs without a parent."""
    wanted = ["state = 'DONE'"] if "DONE" in states or not states else []
    wanted += ["state <> 'DONE'"] if states != {"DONE"} else []
    rows = db.rows(
        "SELECT job_id, resource FROM __bq.jobs WHERE created_ms BETWEEN ? AND ? "
        f"AND ({' OR '.join(wanted)}) AND parent_job_id IS NOT DISTINCT FROM ? "
        "ORDER BY created_ms DESC, rowid DESC LIMIT ? OFFSET ?",
        [since_ms, until_ms, parent, limit, offset],
    )
    return [(job_id, orjson.loads(resource)) for job_id, resource in rows]


def delete(db: Session, job_id: str) -> None:
    """Forget a job and its children."""
    db.execute("DELETE FROM __bq.jobs WHERE job_id = ? OR parent_job_id = ?", [job_id, job_id])


def forget_old(db: Session) -> None:
    """Forget what Google forgets, and the oldest of more than is of use."""
    limit = now_ms() - HISTORY_MS
    beyond = db.scalar(f"SELECT created_ms FROM __bq.jobs ORDER BY 1 DESC LIMIT 1 OFFSET {MAX_JOBS}")
    db.execute("DELETE FROM __bq.jobs WHERE state = 'DONE' AND created_ms <= ?", [max(limit, beyond or 0)])


def end_lost(db: Session) -> int:
    """Give the jobs a dead process left behind their end; how many there were."""
    lost = db.rows("SELECT resource FROM __bq.jobs WHERE state <> 'DONE'")
    for (found,) in lost:
        resource = orjson.loads(found)
        error = {
            "reason": "backendError",
            "message": "The emulator stopped before the job was done; it had no effect, except that of the "
            "statements of a script that are done: its child jobs.",
        }
        resource["status"] = {"state": "DONE", "errorResult": error, "errors": [error]}
        resource["statistics"]["endTime"] = str(now_ms())
        db.execute(
            "UPDATE __bq.jobs SET state = 'DONE', resource = ? WHERE job_id = ?",
            [orjson.dumps(resource).decode(), resource["jobReference"]["jobId"]],
        )
    return len(lost)
