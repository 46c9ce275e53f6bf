"""JOBS, JOBS_BY_PROJECT and JOBS_BY_USER, which are the same here: there is one user.

https://cloud.google.com/bigquery/docs/information-schema-jobs
"""

from __future__ import annotations

from collections.abc import Iterator

from bq_emulator.information_schema.source import Row, Source, record, time, view


def _jobs(source: Source) -> Iterator[Row]:
    for job in source.engine.metadata.jobs(source.db):
        reference, configuration, statistics = job["jobReference"], job["configuration"], job["statistics"]
        kind = configuration["jobType"]
        parameters = configuration[kind.lower()]
        query = statistics.get("query") or {}
        dml = query.get("dmlStats")
        error = job["status"].get("errorResult")
        is_query = kind == "QUERY"
        yield {
            "creation_time": time(statistics["creationTime"]),
            "project_id": reference["projectId"],
            "user_email": job["user_email"],
            "job_id": reference["jobId"],
            "job_type": kind,
            "statement_type": query.get("statementType"),
            "priority": parameters.get("priority", "INTERACTIVE") if is_query else None,
            "start_time": time(statistics.get("startTime")),
            "end_time": time(statistics.get("endTime")),
            "query": parameters.get("query"),
            # The record of a job that runs is the one it was accepted with.
            "state": "DONE" if job["status"]["state"] == "DONE" else "RUNNING",
            "total_bytes_processed": _integer(statistics.get("totalBytesProcessed")),
            "total_slot_ms": _integer(query.get("totalSlotMs")),
            "error_result": {key: error.get(key) for key in ("reason", "location", "message")} if error else None,
            "cache_hit": query.get("cacheHit"),
            "destination_table": _table(parameters.get("destinationTable")),
            "referenced_tables": [_table(each) for each in query.get("referencedTables") or ()],
            "labels": [{"key": key, "value": value} for key, value in (configuration.get("labels") or {}).items()],
            "total_bytes_billed": _integer(query.get("totalBytesBilled")),
            "parent_job_id": statistics.get("parentJobId"),
            "transaction_id": (statistics.get("transactionInfo") or {}).get("transactionId"),
            "dml_statistics": {
                f"{change}_row_count": int(dml.get(f"{change}RowCount", 0))
                for change in ("inserted", "deleted", "updated")
            }
            if dml
            else None,
        }


def _integer(text: str | None) -> int | None:
    return int(text) if text is not None else None


def _table(reference: Row | None) -> Row | None:
    keys = (("project_id", "projectId"), ("dataset_id", "datasetId"), ("table_id", "tableId"))
    return {name: reference.get(key) for name, key in keys} if reference else None


_TABLE = "project_id STRING, dataset_id STRING, table_id STRING"
_JOBS = view(
    "creation_time TIMESTAMP, project_id STRING, user_email STRING, job_id STRING, job_type STRING, "
    "statement_type STRING, priority STRING, start_time TIMESTAMP, end_time TIMESTAMP, query STRING, state STRING, "
    "reservation_id STRING, total_bytes_processed INT64, total_slot_ms INT64, cache_hit BOOL, "
    "total_bytes_billed INT64, parent_job_id STRING, transaction_id STRING",
    _jobs,
    record("error_result", "reason STRING, location STRING, debug_info STRING, message STRING"),
    record("destination_table", _TABLE),
    record("referenced_tables", _TABLE, repeated=True),
    record("labels", "key STRING, value STRING", repeated=True),
    record("dml_statistics", "inserted_row_count INT64, deleted_row_count INT64, updated_row_count INT64"),
)
#: Of the region; a dataset has none.
VIEWS = {"JOBS": _JOBS, "JOBS_BY_PROJECT": _JOBS, "JOBS_BY_USER": _JOBS}
