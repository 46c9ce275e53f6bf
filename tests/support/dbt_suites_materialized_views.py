"""What ``dbt-tests-adapter``'s suites of materialized views need for BigQuery."""

from __future__ import annotations

from typing import Any

import pytest
from dbt.adapters.contracts.relation import RelationType
from dbt.tests.adapter.materialized_view import files
from dbt.tests.adapter.materialized_view.changes import MaterializedViewChanges
from dbt.tests.util import get_model_file, run_dbt, set_model_file


class MaterializedViews:
    """BigQuery's may only read tables, so the suite's seed is read through no view."""

    @staticmethod
    def insert_record(project: Any, table: Any, record: tuple[int, int]) -> None:
        project.run_sql(f"insert into {table} (id, value) values {record}")

    @staticmethod
    def refresh_materialized_view(project: Any, materialized_view: Any) -> None:
        name = f"{materialized_view.database}.{materialized_view.schema}.{materialized_view.identifier}"
        project.run_sql(f"call bq.refresh_materialized_view('{name}')")

    @staticmethod
    def query_row_count(project: Any, relation: Any) -> int:
        return project.run_sql(f"select count(*) from {relation}", fetch="one")[0]

    @staticmethod
    def query_relation_type(project: Any, relation: Any) -> str | None:
        with project.adapter.connection_named("_test"):
            table = project.adapter.connections.get_bq_table(relation.database, relation.schema, relation.identifier)
        found = {
            "TABLE": RelationType.Table, "VIEW": RelationType.View, "MATERIALIZED_VIEW": RelationType.MaterializedView
        }  # fmt: skip
        return found[table.table_type].value


class MaterializedViewsAreFresh(MaterializedViews):
    """BigQuery answers from a materialized view what its query answers now; dbt makes it a view only if told to."""

    def test_materialized_view_only_updates_after_refresh(
        self, project: Any, my_materialized_view: Any, my_seed: Any
    ) -> None:
        self.insert_record(project, my_seed, (4, 400))
        rows = self.query_row_count(project, my_seed)
        assert self.query_row_count(project, my_materialized_view) == rows
        self.refresh_materialized_view(project, my_materialized_view)
        assert self.query_row_count(project, my_materialized_view) == rows

    def test_view_replaces_materialized_view(self, project: Any, my_materialized_view: Any) -> None:
        self.swap_materialized_view_to_view(project, my_materialized_view)  # type: ignore[attr-defined]
        select = ["--models", my_materialized_view.identifier]
        run_dbt(["run", *select], expect_pass=False)
        run_dbt(["run", "--full-refresh", *select])
        assert self.query_relation_type(project, my_materialized_view) == "view"


def _option(text: str, **options: Any) -> str:
    more = "".join(f" {name}={value!r}," for name, value in options.items())
    return text.replace("materialized='materialized_view',", f"materialized='materialized_view',{more}")


class MaterializedViewChange(MaterializedViews, MaterializedViewChanges):
    """Altered by its refresh interval, replaced for its clustering."""

    @pytest.fixture(scope="class", autouse=True)
    def seeds(self) -> dict[str, str]:
        return {"my_seed.csv": files.MY_SEED}

    @pytest.fixture(scope="class", autouse=True)
    def models(self) -> dict[str, str]:
        return {"my_materialized_view.sql": files.MY_MATERIALIZED_VIEW}

    @staticmethod
    def _table(project: Any, relation: Any) -> Any:
        with project.adapter.connection_named("_test"):
            return project.adapter.connections.get_bq_table(relation.database, relation.schema, relation.identifier)

    @classmethod
    def check_start_state(cls, project: Any, materialized_view: Any) -> None:
        table = cls._table(project, materialized_view)
        assert table.mview_refresh_interval.total_seconds() == 30 * 60
        assert table.clustering_fields is None

    @staticmethod
    def _change(project: Any, relation: Any, **options: Any) -> None:
        text = get_model_file(project, relation)
        set_model_file(project, relation, _option(text, **options))

    @classmethod
    def change_config_via_alter(cls, project: Any, materialized_view: Any) -> None:
        cls._change(project, materialized_view, refresh_interval_minutes=45)

    @classmethod
    def check_state_alter_change_is_applied(cls, project: Any, materialized_view: Any) -> None:
        assert cls._table(project, materialized_view).mview_refresh_interval.total_seconds() == 45 * 60

    @classmethod
    def change_config_via_replace(cls, project: Any, materialized_view: Any) -> None:
        cls._change(project, materialized_view, cluster_by=["id"])

    @classmethod
    def check_state_replace_change_is_applied(cls, project: Any, materialized_view: Any) -> None:
        assert cls._table(project, materialized_view).clustering_fields == ["id"]
