"""jobs and their results (https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs)."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from starlette.concurrency import run_in_threadpool

from bq_emulator.emulator import Emulator
from bq_emulator.jobs.job import Job
from bq_emulator.metadata import now_ms
from bq_emulator.model import BigQueryError
from bq_emulator.partitions import split_decorator
from bq_emulator.rest.call import Call, check_project, int64_timestamps, non_negative
from bq_emulator.rest.rows import read_page, start_index
from bq_emulator.rest.tabledata import partition_rows
from bq_emulator.schema import schema_from_rest

#: What a request waits for its job at most, whatever it asks for; clients ask again.
_MAX_WAIT_MS = 60_000
_DEFAULT_WAIT_MS = 10_000
_PATIENCE_MS = 500
_JOB_CREATION_MODES = (None, "JOB_CREATION_MODE_UNSPECIFIED", "JOB_CREATION_REQUIRED", "JOB_CREATION_OPTIONAL")


async def insert(call: Call) -> dict[str, Any]:
    emulator = call.emulator
    configuration = call.body.get("configuration") or {}
    reference = call.body.get("jobReference") or {}
    if project := reference.get("projectId"):
        check_project(emulator, project)
    if configuration.get("dryRun"):
        job = await run_in_threadpool(dry_run, emulator, configuration)
        return job.resource("DONE")
    if "load" in configuration and not configuration["load"].get("sourceUris"):
        raise BigQueryError("required", "A load job needs sourceUris here, or a file by the upload address.")
    return await started(emulator, await run_in_threadpool(emulator.jobs.submit, configuration, reference))


async def started(emulator: Emulator, job: Job) -> dict[str, Any]:
    """The answer to the request that made a job: its resource, after a moment in which a small job gets done. Google's
    Python client then spares two looks at a query, and a second's wait for a load or copy job."""
    await _wait(emulator, job.job_id, _PATIENCE_MS)
    return await run_in_threadpool(emulator.jobs.get, job.job_id)


def dry_run(emulator: Emulator, configuration: dict[str, Any]) -> Job:
    """Analyze a query without running it.

    Raises:
        BigQueryError: what is wrong with the query.
    """
    if "query" not in configuration:
        raise BigQueryError("notImplemented", "Only query jobs can be run dry in this emulator.")
    job = Job(emulator.project, "", emulator.location, configuration)

    with emulator.database.session() as db:
        emulator.query_runner.dry_run(emulator.jobs, db, job)
    return job


def _job_id(call: Call) -> str:
    """Raises BigQueryError notFound for a job looked for in another location."""
    job = call.path["job"]
    call.check_location(f"Job {call.emulator.project}:{job}")
    return job


def get(call: Call) -> dict[str, Any]:
    return call.emulator.jobs.get(_job_id(call))


def list_jobs(call: Call) -> dict[str, Any]:
    limit = call.integer("maxResults", 50) or 50
    offset = non_negative("pageToken", call.query.get("pageToken"), 0)
    since = call.integer("minCreationTime", 0)
    until = call.integer("maxCreationTime", now_ms())
    states = {state.upper() for given in call.query.getlist("stateFilter") for state in given.split(",") if state}
    if unknown := states - {"PENDING", "RUNNING", "DONE"}:
        raise BigQueryError("invalid", f"Invalid value for stateFilter: {', '.join(sorted(unknown)).lower()}.")
    projection = call.query.get("projection", "minimal").lower()
    if projection not in ("minimal", "full"):
        raise BigQueryError("invalid", f"Invalid value for projection: {projection}; one of minimal, full.")
    shown = ("id", "jobReference", "status", "statistics", "user_email")
    keys = (*shown, "configuration") if projection == "full" else shown
    found, more = call.emulator.jobs.list(states, since, until, offset, limit, call.query.get("parentJobId") or None)
    entries = []
    for resource in found:
        status = resource["status"]
        entry = {"kind": "bigquery#job", "state": status["state"], **{key: resource[key] for key in keys}}
        if "errorResult" in status:
            entry["errorResult"] = status["errorResult"]
        entries.append(entry)
    rest = {"nextPageToken": str(offset + limit)} if more else {}
    return {"kind": "bigquery#jobList", "jobs": entries, **rest}


def cancel(call: Call) -> dict[str, Any]:
    job = _job_id(call)
    call.emulator.jobs.cancel(job)
    return {"kind": "bigquery#jobCancelResponse", "job": call.emulator.jobs.get(job)}


def delete(call: Call) -> None:
    call.emulator.jobs.delete(_job_id(call))


async def _wait(emulator: Emulator, job_id: str, timeout_ms: int) -> None:
    job = emulator.jobs.running(job_id)
    if job is not None:
        waiting = asyncio.wrap_future(job.done)
        await asyncio.wait([waiting], timeout=min(timeout_ms, _MAX_WAIT_MS) / 1000)


async def get_query_results(call: Call) -> dict[str, Any]:
    job = _job_id(call)
    await _wait(call.emulator, job, call.integer("timeoutMs", _DEFAULT_WAIT_MS))
    limit = call.integer("maxResults", 0) if call.query.get("maxResults") else None
    int64 = call.int64_timestamps
    content = await run_in_threadpool(_results, call.emulator, job, start_index(call), limit, int64)
    return {"kind": "bigquery#getQueryResultsResponse", **content}


async def query(call: Call) -> dict[str, Any]:
    """Run a query and wait for it, up to ``timeoutMs``."""
    emulator, body = call.emulator, call.body
    options = body.get("formatOptions") or {}
    int64 = int64_timestamps(options.get("useInt64Timestamp"), options.get("timestampOutputFormat"))
    # A job is always made, which the mode allows: it only says that one may be left out.
    if (mode := body.get("jobCreationMode")) not in _JOB_CREATION_MODES:
        raise BigQueryError("invalid", f"Invalid value for jobCreationMode: {mode}.")
    parameters = {
        key: body[key]
        for key in (
            "query", "defaultDataset", "useLegacySql", "useQueryCache", "parameterMode", "queryParameters",
            "maximumBytesBilled", "connectionProperties", "createSession", "destinationEncryptionConfiguration",
            "writeIncrementalResults", "continuous",
        )
        if key in body
    }  # fmt: skip
    configuration: dict[str, Any] = {"query": parameters}
    for key in ("labels", "jobTimeoutMs"):
        if body.get(key):
            configuration[key] = body[key]
    if body.get("dryRun"):
        job = await run_in_threadpool(dry_run, emulator, {**configuration, "dryRun": True})
        statistics = job.statistics["query"]
        return {
            "kind": "bigquery#queryResponse",
            "jobComplete": True,
            "jobReference": {"projectId": emulator.project, "location": emulator.location},
            "totalBytesProcessed": statistics["totalBytesProcessed"],
            "schema": statistics.get("schema", {"fields": []}),
            "cacheHit": False,
        }
    job_id = await run_in_threadpool(_submit_once, emulator, configuration, body)
    await _wait(emulator, job_id, non_negative("timeoutMs", body.get("timeoutMs"), _DEFAULT_WAIT_MS))
    limit = non_negative("maxResults", body["maxResults"], 0) if body.get("maxResults") is not None else None
    content = await run_in_threadpool(_results, emulator, job_id, 0, limit, int64)
    return {"kind": "bigquery#queryResponse", "queryId": job_id, **content}


def _submit_once(emulator: Emulator, configuration: dict[str, Any], body: dict[str, Any]) -> str:
    """The job of a query request; a request repeated with its requestId finds the first one's job."""
    reference = {"location": body.get("location")}
    request_id = body.get("requestId")
    if request_id:
        reference["jobId"] = "job_" + hashlib.sha256(request_id.encode()).hexdigest()[:32]
    try:
        return emulator.jobs.submit(configuration, reference).job_id
    except BigQueryError as error:
        if error.reason == "duplicate" and request_id:
            return str(reference["jobId"])
        raise


def _results(emulator: Emulator, job_id: str, start: int, limit: int | None, int64: bool) -> dict[str, Any]:
    """What getQueryResults and jobs.query answer.

    Raises:
        BigQueryError: the job's own error, if it failed.
    """
    resource = emulator.jobs.get(job_id)
    if "query" not in resource["configuration"]:
        raise BigQueryError("invalid", f"Cannot get query results of a job that is no query: {job_id}")
    answer: dict[str, Any] = {"jobReference": resource["jobReference"], "jobComplete": False}
    if resource["status"]["state"] != "DONE":
        return answer
    if error := resource["status"].get("errorResult"):
        raise BigQueryError(error["reason"], error["message"], error.get("location"))
    statistics = resource["statistics"]["query"]
    answer |= {
        "etag": resource["etag"],
        "jobComplete": True,
        "cacheHit": False,
        "totalBytesProcessed": statistics["totalBytesProcessed"],
    }
    for key in ("numDmlAffectedRows", "dmlStats"):
        if key in statistics:
            answer[key] = statistics[key]
    if "schema" not in statistics:
        return answer
    schema = schema_from_rest(statistics["schema"])
    where = resource["configuration"]["query"]["destinationTable"]
    with emulator.database.transaction() as db:
        name, partition = split_decorator(where["tableId"])
        record = emulator.metadata.table(db, where["datasetId"], name)
        rows = partition_rows(emulator, db, record, partition)
        return answer | {"schema": statistics["schema"]} | read_page(db, record, schema, start, limit, int64, rows)


_JOBS = "/projects/{project}/jobs"
ROUTES = (
    ("GET", _JOBS, list_jobs),
    ("POST", _JOBS, insert),
    ("GET", _JOBS + "/{job}", get),
    ("POST", _JOBS + "/{job}/cancel", cancel),
    ("DELETE", _JOBS + "/{job}/delete", delete),
    ("POST", "/projects/{project}/queries", query),
    ("GET", "/projects/{project}/queries/{job}", get_query_results),
)
