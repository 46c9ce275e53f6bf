"""dbt's materialized views, clones and grants."""

from __future__ import annotations

import datetime
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from dbt.tests.util import run_dbt, write_file
from dbt_rows import rows
from google.cloud import bigquery

pytestmark = pytest.mark.slow


def model(query: str, **config: Any) -> str:
    return f"{{{{ config(**{config!r}) }}}} {query}"


DATED = "select id, date '2024-01-15' as day from unnest([1, 2]) as id"


class TestMaterializedView:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "base.sql": model(DATED, materialized="table", partition_by={"field": "day", "data_type": "date"}),
            "summed.sql": self.summed(),
        }

    @staticmethod
    def summed(query: str = "sum(id) as total", **config: Any) -> str:
        return model(
            f"select day, {query} from {{{{ ref('base') }}}} group by day",
            **{"materialized": "materialized_view", "enable_refresh": True, "refresh_interval_minutes": 60, **config},
        )

    def test_it_is_created_altered_replaced_and_refreshed(self, project: Any, bigquery_client: bigquery.Client) -> None:
        def table() -> bigquery.Table:
            return bigquery_client.get_table(f"{project.test_schema}.summed")

        def change(text: str, *arguments: str) -> bigquery.Table:
            write_file(text, project.project_root, "models", "summed.sql")
            run_dbt(["run", "--select", "summed", *arguments])
            return table()

        run_dbt(["run"])
        assert (table().table_type, table().mview_refresh_interval) == (
            "MATERIALIZED_VIEW",
            datetime.timedelta(hours=1),
        )
        altered = change(self.summed(refresh_interval_minutes=30))
        assert altered.mview_refresh_interval == datetime.timedelta(minutes=30)
        clustered = change(self.summed(cluster_by=["day"]))
        assert clustered.clustering_fields == ["day"]
        changed = change(self.summed("count(*) as total"), "--full-refresh")
        assert changed.clustering_fields is None
        assert rows(bigquery_client, f"SELECT total FROM {project.test_schema}.summed") == [(2,)]


class TestClone:
    @pytest.fixture(scope="class")
    def profiles_config_update(self, dbt_profile_target: dict[str, Any], unique_schema: str) -> dict[str, Any]:
        target = deepcopy(dbt_profile_target)
        outputs = {
            "default": {**target, "schema": unique_schema},
            "copy": {**target, "schema": f"{unique_schema}_copy"},
        }
        return {"test": {"outputs": outputs, "target": "default"}}

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "a_table.sql": model(DATED, materialized="table", partition_by={"field": "day", "data_type": "date"}),
            "a_view.sql": "select * from {{ ref('a_table') }}",
        }

    def test_tables_are_cloned_and_views_point_at_the_original(
        self, project: Any, bigquery_client: bigquery.Client
    ) -> None:
        run_dbt(["run"])
        root = Path(project.project_root)
        (root / "state").mkdir()
        shutil.copy(root / "target/manifest.json", root / "state/manifest.json")
        for arguments in ([], ["--full-refresh"]):
            run_dbt(["clone", "--state", "state", "--target", "copy", *arguments])
        project.created_schemas.append(f"{project.test_schema}_copy")
        clone = bigquery_client.get_table(f"{project.test_schema}_copy.a_table")
        assert (clone.num_rows, clone.time_partitioning.field) == (2, "day")
        assert clone.clone_definition.base_table_reference.dataset_id == project.test_schema
        view = bigquery_client.get_table(f"{project.test_schema}_copy.a_view")
        assert project.test_schema + "`.`a_view" in view.view_query
        results = run_dbt(["run", "--select", "a_view", "--defer", "--state", "state", "--target", "copy"])
        assert results[0].status == "success"


GRANTED = "{{{{ config(materialized='{}', grants={}) }}}} select 1 as id"
READER = {"roles/bigquery.dataViewer": ["user:a@example.com", "group:g@example.com"]}


class TestGrants:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "granted_table.sql": GRANTED.format("table", READER),
            "granted_view.sql": GRANTED.format("view", READER),
            "granted_incremental.sql": GRANTED.format("incremental", READER),
        }

    def test_grants_follow_the_configuration(self, project: Any, bigquery_client: bigquery.Client) -> None:
        def granted() -> dict[str, set[tuple[str, str]]]:
            found: dict[str, set[tuple[str, str]]] = {}
            for name, privilege, grantee in rows(
                bigquery_client,
                "SELECT object_name, privilege_type, grantee FROM `region-us`.INFORMATION_SCHEMA.OBJECT_PRIVILEGES"
                f" WHERE object_schema = '{project.test_schema}'",
            ):
                found.setdefault(name, set()).add((privilege, grantee))
            return found

        names = ("granted_table", "granted_view", "granted_incremental")
        run_dbt(["run"])
        run_dbt(["run"])
        before = {("roles/bigquery.dataViewer", who) for who in READER["roles/bigquery.dataViewer"]}
        assert granted() == dict.fromkeys(names, before)
        for name in names:
            changed = {"roles/bigquery.dataEditor": ["user:b@example.com"]}
            write_file(
                GRANTED.format(name.removeprefix("granted_"), changed), project.project_root, "models", f"{name}.sql"
            )
        run_dbt(["run"])
        assert granted() == {name: {("roles/bigquery.dataEditor", "user:b@example.com")} for name in names}
