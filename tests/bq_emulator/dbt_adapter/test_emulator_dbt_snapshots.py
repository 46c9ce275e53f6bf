"""dbt's snapshots: both strategies, each way to treat deleted rows, columns that come, and views as source."""

from __future__ import annotations

from typing import Any

import pytest
from dbt.tests.util import run_dbt
from dbt_rows import rows
from google.cloud import bigquery

pytestmark = pytest.mark.slow

SNAPSHOT = """
  - name: {name}
    relation: ref('{relation}')
    config: {{unique_key: {key}, {config}}}
"""
TIMESTAMP = "strategy: timestamp, updated_at: changed"
CHECK = "strategy: check, check_cols: [name]"


def snapshots(**configs: tuple[str, str, str]) -> str:
    return "snapshots:" + "".join(
        SNAPSHOT.format(name=name, relation=relation, key=key, config=config)
        for name, (relation, key, config) in configs.items()
    )


class TestSnapshots:
    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        first = "select id, 'old' as name, timestamp '2024-01-01' as changed from unnest([1, 2]) as id"
        # Row 1 changed, row 2 is gone, row 3 is new, and so is a column.
        second = """
            select 1 as id, 'new' as name, timestamp '2024-02-01' as changed, [struct(1 as x)] as extra
            union all select 3, 'added', timestamp '2024-02-01', []
            """
        return {
            "people.sql": f"{{{{ config(materialized='table') }}}}"
            f"{{% if var('second', false) %}} {second} {{% else %}} {first} {{% endif %}}",
            "people_view.sql": "select * from {{ ref('people') }}",
            "passing.sql": "{{ config(materialized='ephemeral') }} select * from {{ ref('people') }}",
        }

    @pytest.fixture(scope="class")
    def snapshots(self) -> dict[str, str]:
        return {
            "all.yml": snapshots(
                by_timestamp=("people", "id", TIMESTAMP),
                by_check=("people", "id", CHECK),
                check_all=("people", "id", "strategy: check, check_cols: all"),
                of_view=("people_view", "id", TIMESTAMP),
                of_ephemeral=("passing", "id", TIMESTAMP),
                two_keys=("people", "[id, name]", TIMESTAMP),
                invalidating=("people", "id", f"{TIMESTAMP}, hard_deletes: invalidate"),
                recording=("people", "id", f"{CHECK}, hard_deletes: new_record"),
                with_end=("people", "id", f"{TIMESTAMP}, dbt_valid_to_current: \"timestamp '9999-12-31'\""),
                renamed=("people", "id", f"{TIMESTAMP}, snapshot_meta_column_names: {{dbt_valid_to: ended}}"),
            )
        }

    def test_history_is_kept(self, project: Any, bigquery_client: bigquery.Client) -> None:
        run_dbt(["build"])
        run_dbt(["build", "--vars", "second: true"])

        def versions(name: str, end: str = "dbt_valid_to IS NULL") -> list[tuple[Any, ...]]:
            return rows(
                bigquery_client, f"SELECT id, name, {end} FROM {project.test_schema}.{name} ORDER BY id, dbt_valid_from"
            )

        kept = [(1, "old", False), (1, "new", True), (2, "old", True), (3, "added", True)]
        for name in ("by_timestamp", "by_check", "check_all", "of_view", "of_ephemeral"):
            assert versions(name) == kept, name
        assert versions("renamed", "ended IS NULL") == kept
        assert versions("two_keys") == [(1, "old", True), (1, "new", True), (2, "old", True), (3, "added", True)]
        assert versions("with_end", "dbt_valid_to = '9999-12-31'") == kept
        gone = [(id_, name, open_ and id_ != 2) for id_, name, open_ in kept]
        assert versions("invalidating") == gone
        assert versions("recording", "dbt_is_deleted") == [
            (1, "old", "False"),
            (1, "new", "False"),
            (2, "old", "False"),
            (2, "old", "True"),
            (3, "added", "False"),
        ]
        (extra,) = rows(bigquery_client, f"SELECT extra FROM {project.test_schema}.by_timestamp WHERE name = 'new'")
        assert extra == ([{"x": 1}],)
        for table in bigquery_client.list_tables(project.test_schema):
            assert "dbt_tmp" not in table.table_id
        ids = rows(
            bigquery_client,
            f"SELECT COUNT(DISTINCT dbt_scd_id) = COUNT(*), LOGICAL_AND(dbt_valid_from = changed)"
            f" FROM {project.test_schema}.by_timestamp",
        )
        assert ids == [(True, True)]
