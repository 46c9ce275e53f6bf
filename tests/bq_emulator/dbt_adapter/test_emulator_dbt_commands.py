"""dbt's other commands and settings: show, retry, compile, operations, hooks, labels, limits, timeouts, cancelling."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from dbt.tests.util import run_dbt, run_dbt_and_capture, write_file
from dbt_rows import rows
from google.cloud import bigquery
from real_services import BIN, PROJECT

pytestmark = pytest.mark.slow

#: Runs for minutes unless it is cancelled.
ENDLESS = """
{{ config(materialized='table') }}
select count(*) as n from unnest(generate_array(1, 100000)) as a, unnest(generate_array(1, 100000)) as b
where mod(a * b, 7) = 3
"""


class TestCommands:
    @pytest.fixture(scope="class")
    def project_config_update(self) -> dict[str, Any]:
        return {
            "on-run-start": [
                "create table if not exists {{ target.schema }}.log (what string)",
                "insert into {{ target.schema }}.log values ('start')",
            ],
            "on-run-end": "insert into {{ target.schema }}.log select 'end'; select 1",
            "query-comment": {"comment": "dbt of {{ node.name if node }}", "job-label": True, "append": True},
        }

    @pytest.fixture(scope="class")
    def seeds(self) -> dict[str, str]:
        return {
            "events.csv": "id,happened\n1,2024-01-01T00:00:00\n2,2024-01-02T00:00:00\n3,2024-01-03T00:00:00\n",
            "events.yml": "seeds: [{name: events, config: {event_time: happened}}]",
        }

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "hooked.sql": """
                {{ config(materialized='table', labels={'team': 'data'},
                          pre_hook="insert into {{ target.schema }}.log values ('pre')",
                          post_hook=["begin declare n int64 default 2; insert into {{ target.schema }}.log
                                      select 'post ' || n; end",
                                     "update {{ this }} set id = id + 10 where true"]) }}
                select id, happened from {{ ref('events') }}
                """,
            "flaky.sql": "{{ config(materialized='table') }} select if(id > 0, error('no'), 1) as x"
            " from {{ ref('hooked') }}",
            "flaky_table.sql": "{{ config(materialized='table') }} select * from {{ ref('flaky') }}",
        }

    @pytest.fixture(scope="class")
    def macros(self) -> dict[str, str]:
        return {
            "operations.sql": """
                {% macro count_rows(name) %}
                  {% set found = run_query('select count(*) from ' ~ target.schema ~ '.' ~ name) %}
                  {{ log('counted ' ~ found.columns[0].values()[0], info=true) }}
                {% endmacro %}
                """
        }

    def test_the_commands(self, project: Any, bigquery_client: bigquery.Client) -> None:
        run_dbt(["debug"])
        results = run_dbt(["build"], expect_pass=False)
        found = {r.node.name: str(r.status) for r in results if r.node.resource_type == "model"}
        assert found == {"hooked": "success", "flaky": "error", "flaky_table": "skipped"}
        log = f"{project.test_schema}.log"
        assert rows(bigquery_client, f"SELECT what FROM {log} ORDER BY what") == [
            ("end",),
            ("post 2",),
            ("pre",),
            ("start",),
        ]
        assert rows(bigquery_client, f"SELECT id FROM {project.test_schema}.hooked ORDER BY id") == [
            (11,),
            (12,),
            (13,),
        ]

        write_file("select 1 as x from {{ ref('hooked') }}", project.project_root, "models", "flaky.sql")
        retried = [r.node.name for r in run_dbt(["retry"])]
        assert [name for name in retried if "-on-run-" not in name] == ["flaky", "flaky_table"]

        shown = run_dbt(["show", "--select", "hooked", "--limit", "2"])
        assert len(shown.results[0].agate_table) == 2
        shown = run_dbt(["show", "--inline", "select sum(id) as total from {{ ref('hooked') }}"])
        assert shown.results[0].agate_table.rows[0][0] == 36
        assert run_dbt(["list", "--select", "flaky_table", "--output", "name"]) == ["flaky_table"]
        compiled = run_dbt(["compile", "--select", "flaky_table"])
        assert f"`{PROJECT}`.`{project.test_schema}`.`flaky`" in compiled[0].node.compiled_code
        _, output = run_dbt_and_capture(["run-operation", "count_rows", "--args", "name: hooked"])
        assert "counted 3" in output

        run_dbt(["run", "--select", "hooked", "--empty"])
        assert rows(bigquery_client, f"SELECT COUNT(*) FROM {project.test_schema}.hooked") == [(0,)]
        run_dbt(["run", "--select", "hooked", "--sample", "{'start': '2024-01-02', 'end': '2024-01-03'}"])
        assert rows(bigquery_client, f"SELECT id FROM {project.test_schema}.hooked") == [(12,)]

    def test_jobs_carry_the_comment_as_a_label(self, project: Any, bigquery_client: bigquery.Client) -> None:
        run_dbt(["run", "--select", "flaky_table"])
        labels = [job.labels for job in bigquery_client.list_jobs(max_results=30)]
        assert any(label.get("query_comment", "").startswith("dbt_of_flaky_table") for label in labels)

    def test_what_cannot_be_is_refused_by_name(self, project: Any) -> None:
        root = project.project_root
        write_file("def model(dbt, session):\n    return dbt.ref('hooked')\n", root, "models", "in_python.py")
        write_file("select * from `{{ target.schema }}.events_*`", root, "models", "sharded.sql")
        write_file(
            "{{ config(materialized='incremental', incremental_strategy='append') }} select 1 as id",
            root,
            "models",
            "strange.sql",
        )
        results = run_dbt(["run", "--select", "in_python", "sharded", "strange"], expect_pass=False)
        messages = {r.node.name: r.message for r in results}
        assert "ildcard" in messages["sharded"]
        assert "Invalid incremental strategy provided: append" in messages["strange"]
        assert messages["in_python"] and "success" not in messages["in_python"].lower()
        for name in ("in_python.py", "sharded.sql", "strange.sql"):
            (Path(root) / "models" / name).unlink()


class TestLimits:
    @pytest.fixture(scope="class")
    def dbt_profile_target(self, dbt_profile_target: dict[str, Any]) -> dict[str, Any]:
        return {
            **dbt_profile_target,
            "maximum_bytes_billed": 1000,
            "job_execution_timeout_seconds": 3,
            "priority": "batch",
        }

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "small.sql": "{{ config(materialized='table') }} select 1 as id",
            "large.sql": "{{ config(materialized='table') }} select * from {{ target.schema }}.wide",
            "slow.sql": ENDLESS,
        }

    def test_bytes_and_time_are_limited(self, project: Any, bigquery_client: bigquery.Client) -> None:
        bigquery_client.query(
            f"CREATE TABLE {project.test_schema}.wide AS SELECT x FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS x"
        ).result()
        results = run_dbt(["run"], expect_pass=False)
        messages = {r.node.name: r.message for r in results}
        assert messages["small"].startswith("CREATE TABLE (1.0 rows")
        assert "exceeded limit for bytes billed: 1000" in messages["large"]
        assert "timed out" in messages["slow"] or "timeout" in messages["slow"]


class TestCancelling:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "endless_one.sql": ENDLESS,
            "endless_two.sql": ENDLESS,
            "failing.sql": "{{ config(materialized='table') }} select error('no') as x"
            " from unnest(generate_array(1, 10)) where rand() < 2",
        }

    @staticmethod
    def cancelled(client: bigquery.Client, since: float) -> list[str]:
        """The ends of long jobs started after ``since`` (s of the epoch); waits up to 20 s for them."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            jobs = [
                j for j in client.list_jobs(max_results=20) if "generate_array(1, 100000)" in getattr(j, "query", "")
            ]
            jobs = [j for j in jobs if j.created.timestamp() >= since - 0.1]
            if jobs and all(j.state == "DONE" for j in jobs):
                return [j.error_result["reason"] for j in jobs]
            time.sleep(0.1)
        return ["still running"]

    def test_fail_fast_cancels_what_runs(self, project: Any, bigquery_client: bigquery.Client) -> None:
        since = time.time()
        results = run_dbt(["run", "--fail-fast"], expect_pass=False)
        assert {str(r.status) for r in results} <= {"error", "skipped"}
        assert set(self.cancelled(bigquery_client, since)) == {"stopped"}

    def test_an_interrupt_cancels_what_runs(self, project: Any, bigquery_client: bigquery.Client) -> None:
        since = time.time()
        dbt = subprocess.Popen(
            [BIN / "dbt", "run", "--select", "endless_one"],
            cwd=project.project_root,
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        while not any(
            "generate_array(1, 100000)" in getattr(j, "query", "") and j.created.timestamp() > since
            for j in bigquery_client.list_jobs(state_filter="running")
        ):
            assert dbt.poll() is None, dbt.communicate()[0]
            time.sleep(0.1)
        dbt.send_signal(signal.SIGINT)
        dbt.communicate(timeout=30)
        assert self.cancelled(bigquery_client, since) == ["stopped"]
