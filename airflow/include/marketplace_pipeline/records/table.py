"""``ops.pipeline_runs``: made when missing, written a run at a time, read for comparisons and charts."""

from __future__ import annotations

import json
from typing import Any

from google.cloud import bigquery

from marketplace_pipeline.records.run import PipelineRun

_CREATE = """
CREATE SCHEMA IF NOT EXISTS ops;
CREATE TABLE IF NOT EXISTS ops.pipeline_runs (
  run_id STRING NOT NULL OPTIONS (description = "Airflow's id of the run; a cleared run keeps its last outcome."),
  started_at TIMESTAMP NOT NULL OPTIONS (description = "When Airflow started the run."),
  recorded_at TIMESTAMP NOT NULL OPTIONS (description = "When this row was made, after all other tasks."),
  state STRING NOT NULL OPTIONS (description = "success or failed."),
  job_id INT64 OPTIONS (description = "Airbyte's id of the sync job; NULL when no sync was started."),
  bytes_synced INT64 OPTIONS (description = "Bytes that Airbyte reports for the job."),
  rows_synced INT64 OPTIONS (description = "Rows of the job found in the raw tables."),
  stream_rows ARRAY<STRUCT<stream STRING, row_count INT64>> OPTIONS (description = "rows_synced by stream."),
  stage_seconds ARRAY<STRUCT<stage STRING, seconds FLOAT64>> OPTIONS (description = "Each stage's tasks, added up."),
  source_hours ARRAY<STRUCT<source STRING, hours FLOAT64>> OPTIONS (description = "Age of each youngest row."),
  tests_passed INT64,
  tests_warned INT64,
  tests_failed INT64,
  tests_not_run INT64,
  failed_tasks ARRAY<STRING>,
  duplicates_removed INT64 OPTIONS (description = "Replayed payment rows left out of the marts, all in all."),
  quarantined INT64 OPTIONS (description = "Orders whose total does not add up, all in all."),
  orders INT64 OPTIONS (description = "Orders in the marts, all in all.")
)
PARTITION BY DATE(started_at)
OPTIONS (description = "One row per run of marketplace_elt_pipeline.")
"""

_SCALARS = {
    "run_id": "STRING", "started_at": "TIMESTAMP", "recorded_at": "TIMESTAMP", "state": "STRING", "job_id": "INT64",
    "bytes_synced": "INT64", "rows_synced": "INT64", "tests_passed": "INT64", "tests_warned": "INT64",
    "tests_failed": "INT64", "tests_not_run": "INT64", "duplicates_removed": "INT64", "quarantined": "INT64",
    "orders": "INT64",
}  # fmt: skip
_PAIRS = {
    "stream_rows": ("stream", "row_count", "INT64"),
    "stage_seconds": ("stage", "seconds", "FLOAT64"),
    "source_hours": ("source", "hours", "FLOAT64"),
}


def save(client: bigquery.Client, run: PipelineRun) -> None:
    """Write the run's row, in the place of an earlier one of the same run."""
    client.query_and_wait(_CREATE)
    values: dict[str, Any] = {name: getattr(run, name) for name in _SCALARS}
    parameters: list[Any] = [bigquery.ScalarQueryParameter(name, _SCALARS[name], values[name]) for name in _SCALARS]
    parameters += [bigquery.ScalarQueryParameter(name, "STRING", _as_list(getattr(run, name))) for name in _PAIRS]
    parameters.append(bigquery.ArrayQueryParameter("failed_tasks", "STRING", list(run.failed_tasks)))
    columns = [*_SCALARS, *_PAIRS, "failed_tasks"]
    pairs = [
        f"ARRAY(SELECT AS STRUCT JSON_VALUE(pair, '$.key') AS {key}, "
        f"CAST(JSON_VALUE(pair, '$.value') AS {kind}) AS {value} "
        f"FROM UNNEST(JSON_QUERY_ARRAY(@{name})) AS pair) AS {name}"
        for name, (key, value, kind) in _PAIRS.items()
    ]
    source = ", ".join([*(f"@{name} AS {name}" for name in _SCALARS), *pairs, "@failed_tasks AS failed_tasks"])
    client.query_and_wait(
        f"""
        MERGE ops.pipeline_runs AS kept USING (SELECT {source}) AS run ON kept.run_id = run.run_id
        WHEN MATCHED THEN UPDATE SET {", ".join(f"{name} = run.{name}" for name in columns)}
        WHEN NOT MATCHED THEN INSERT ({", ".join(columns)}) VALUES ({", ".join(f"run.{name}" for name in columns)})
        """,
        job_config=bigquery.QueryJobConfig(query_parameters=parameters),
    )


def recent(client: bigquery.Client, limit: int = 30) -> list[PipelineRun]:
    """The youngest runs, the oldest of them first; of the last ninety days, so that partitions are pruned."""
    rows = client.query_and_wait(
        f"""
        SELECT * EXCEPT (rows_synced) FROM ops.pipeline_runs
        WHERE started_at > TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 90 DAY)
        ORDER BY started_at DESC LIMIT {limit}
        """
    )
    return [_as_run(dict(row.items())) for row in rows][::-1]


def _as_run(row: dict[str, Any]) -> PipelineRun:
    for name, (key, value, _) in _PAIRS.items():
        row[name] = {pair[key]: pair[value] for pair in row[name]}
    row["failed_tasks"] = tuple(row["failed_tasks"])
    return PipelineRun(**row)


def _as_list(values: dict[str, Any]) -> str:
    return json.dumps([{"key": key, "value": value} for key, value in values.items()])
