"""The gate between sync and transformation: do the raw tables hold what the sync says it delivered?

What can be checked exactly follows from how the destination writes (`_airbyte_meta.sync_id` is the job's id):

- overwrite: every row of the table is of this job, so rows = rows committed.
- append and append_dedup: rows of this job = rows committed, when the job had one attempt. Each record becomes one row,
  or replaces one, for the source reads each row once and a row is only read again if its cursor is not older. An
  earlier attempt may have loaded rows that it, or the next attempt, counted differently: then append may only have
  more and append_dedup only fewer rows than were counted.
- append_dedup of a log's changes: a row that changed twice was counted twice, so again only fewer.
- `_airbyte_meta.changes` lists values that were nulled or rounded because they did not fit. It is looked at in all
  rows, not only this job's: a value that was lost stays lost until its row is sent again.

https://docs.airbyte.com/platform/understanding-airbyte/airbyte-metadata-fields
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow.sdk.exceptions import AirflowException
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY, DEFAULT_RETRY

from marketplace_pipeline.airbyte import Job, JobDetails, Stream, SyncConnection

# The client's own patience with a warehouse that does not answer, or fails, is ten minutes.
_RETRY = DEFAULT_RETRY.with_timeout(60)
_JOB_RETRY = DEFAULT_JOB_RETRY.with_timeout(60)


class RawGateError(AirflowException):
    """Raw tables are missing, disagree with the sync, or lost values; the message lists every finding."""


@dataclass(frozen=True)
class RawTable:
    """Counts over one raw table: all rows, those of the job, the youngest job's id, and rows with lost values."""

    rows: int
    job_rows: int
    latest_job: int | None
    changed_rows: int


def check_raw(
    client: bigquery.Client, dataset: str, connection: SyncConnection, job: Job, details: JobDetails | None
) -> dict[str, int]:
    """Check every declared stream's table and return its rows of this job, by stream.

    Args:
        dataset: where the destination writes, in the client's project.
        details: rows per stream; without them (Airbyte Cloud) only the job's total is compared.

    Raises:
        RawGateError: naming each table that is missing or wrong, with the numbers.
    """
    if not connection.streams:
        raise RawGateError(f"Connection {connection.name} declares no stream: there is nothing to build on.")
    place = f"{client.project}.{dataset}"
    existing = {table.table_id for table in client.list_tables(place, retry=_RETRY)}
    tables = {stream.name: connection.prefix + stream.name for stream in connection.streams}
    missing = [f"{place}.{table} does not exist" for table in tables.values() if table not in existing]
    if missing:
        raise RawGateError(_report(job, missing))

    counts = _count(client, place, tables, job.job_id)
    findings: list[str] = []
    for stream in connection.streams:
        table = f"{place}.{tables[stream.name]}"
        findings += _disagreements(stream, table, counts[stream.name], job, details)
        if counts[stream.name].changed_rows:
            findings.append(_lost_values(client, table, counts[stream.name].changed_rows))
    job_rows = {name: count.job_rows for name, count in counts.items()}
    total = sum(job_rows.values())
    fewer_is_right = any(stream.is_cdc for stream in connection.streams) and total < job.rows
    if details is None and total != job.rows and not fewer_is_right:
        findings.append(f"all streams together hold {total} rows of this job, not {job.rows}")
    if findings:
        raise RawGateError(_report(job, findings))
    return job_rows


def _count(client: bigquery.Client, place: str, tables: dict[str, str], job_id: int) -> dict[str, RawTable]:
    """All tables in one query, because on Google a query's fixed cost is what a small one takes."""
    selects = [
        f"""
        SELECT '{stream}' AS stream, COUNT(*) AS row_count, COUNTIF(sync_id = @job_id) AS job_rows,
               MAX(sync_id) AS latest_job, COUNTIF(changes > 0) AS changed_rows
        FROM (
            SELECT CAST(JSON_VALUE(_airbyte_meta, '$.sync_id') AS INT64) AS sync_id,
                   ARRAY_LENGTH(JSON_QUERY_ARRAY(_airbyte_meta, '$.changes')) AS changes
            FROM `{place}.{table}`
        )"""
        for stream, table in tables.items()
    ]
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("job_id", "INT64", job_id)])
    sql = "\nUNION ALL".join(selects)
    rows = client.query_and_wait(sql, job_config=config, retry=_RETRY, job_retry=_JOB_RETRY)
    return {row.stream: RawTable(row.row_count, row.job_rows, row.latest_job, row.changed_rows) for row in rows}


def _disagreements(stream: Stream, table: str, count: RawTable, job: Job, details: JobDetails | None) -> list[str]:
    if count.latest_job is not None and count.latest_job > job.job_id:
        return [
            f"{table} holds rows of job {count.latest_job}, which ran after the job to be checked; "
            "clear the task that triggered the sync to check a sync of its own"
        ]
    overwrite = stream.sync_mode.startswith("full_refresh_overwrite")
    if overwrite and count.rows != count.job_rows:
        return [f"{table} was to be overwritten, but {count.rows - count.job_rows} of {count.rows} rows are older"]
    if details is None:
        return []
    committed = details.committed.get(stream.name, 0)
    appends = stream.sync_mode.endswith("append")
    if overwrite or (details.attempts <= 1 and (appends or not stream.is_cdc)):
        agrees, relation = count.job_rows == committed, "exactly"
    elif appends:
        agrees, relation = count.job_rows >= committed, "at least"
    else:
        agrees, relation = min(committed, 1) <= count.job_rows <= committed, "at most (and not none of)"
    if agrees:
        return []
    return [f"{table} ({stream.sync_mode}) holds {count.job_rows} rows of this job, but {relation} {committed} are due"]


def _lost_values(client: bigquery.Client, table: str, changed_rows: int) -> str:
    sql = f"""
        SELECT JSON_VALUE(change, '$.field') AS field, JSON_VALUE(change, '$.change') AS change,
               JSON_VALUE(change, '$.reason') AS reason, COUNT(*) AS occurrences, MIN(_airbyte_raw_id) AS example
        FROM `{table}`, UNNEST(JSON_QUERY_ARRAY(_airbyte_meta, '$.changes')) AS change
        GROUP BY 1, 2, 3
        ORDER BY occurrences DESC, field
        LIMIT 10
    """
    rows = client.query_and_wait(sql, retry=_RETRY, job_retry=_JOB_RETRY)
    losses = ", ".join(
        f"{row.field} {row.change} ({row.reason}) {row.occurrences}×, e.g. _airbyte_raw_id {row.example}"
        for row in rows
    )
    return f"{table} lost values in {changed_rows} rows: {losses}"


def _report(job: Job, findings: list[str]) -> str:
    return f"After Airbyte job {job.job_id} the raw tables are not fit to build on:\n- " + "\n- ".join(findings)
