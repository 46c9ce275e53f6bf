"""Grants on tables, views and datasets, as SQL and REST show them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

PROJECT = "marketplace-analytics"
Run = Callable[[str], list[tuple[object, ...]]]
VIEWER, EDITOR = "roles/bigquery.dataViewer", "roles/bigquery.dataEditor"


@pytest.fixture
def run(bigquery_client: bigquery.Client, dataset: str) -> Run:
    def run(sql: str) -> list[tuple[object, ...]]:
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{dataset}")
        return [tuple(row.values()) for row in bigquery_client.query(sql, job_config=config).result()]

    return run


def privileges(run: Run, dataset: str, name: str) -> list[tuple[object, ...]]:
    return run(
        f"SELECT privilege_type, grantee FROM `{PROJECT}`.`region-us`.INFORMATION_SCHEMA.OBJECT_PRIVILEGES "
        f"WHERE object_schema = '{dataset}' AND object_name = '{name}' "
        "AND SPLIT(grantee, ':')[OFFSET(1)] != SESSION_USER() ORDER BY 1, 2"
    )


def test_grants_on_tables_are_shown_kept_by_replacement_and_revoked(run: Run, dataset: str) -> None:
    run("CREATE TABLE t (n INT64)")
    run(f"GRANT `{VIEWER}`, `{EDITOR}` ON TABLE t TO 'user:a@example.com', 'group:g@example.com'")
    run(f"GRANT `{VIEWER}` ON TABLE t TO 'user:a@example.com'")
    run("CREATE OR REPLACE TABLE t (m INT64)")
    assert privileges(run, dataset, "t") == [
        (EDITOR, "group:g@example.com"), (EDITOR, "user:a@example.com"),
        (VIEWER, "group:g@example.com"), (VIEWER, "user:a@example.com"),
    ]  # fmt: skip
    run(f"REVOKE `{EDITOR}` ON TABLE t FROM 'group:g@example.com', 'user:a@example.com'")
    assert [role for role, _ in privileges(run, dataset, "t")] == [VIEWER, VIEWER]
    with pytest.raises(BadRequest, match="is not a VIEW: it is a TABLE"):
        run(f"GRANT `{VIEWER}` ON VIEW t TO 'user:a@example.com'")
    for nobody in ("nobody", "user:nobody", "group:no body@example.com", "domain:"):
        with pytest.raises(BadRequest, match=f"Invalid user/group: {nobody}"):
            run(f"GRANT `{VIEWER}` ON TABLE t TO '{nobody}'")


def test_a_policy_set_by_rest_is_the_one_that_sql_changes(
    run: Run, bigquery_client: bigquery.Client, dataset: str
) -> None:
    run("CREATE VIEW v AS SELECT 1 AS n")
    name = f"{PROJECT}.{dataset}.v"
    policy = bigquery_client.get_iam_policy(name)
    assert policy.bindings == []
    policy.bindings.append({"role": VIEWER, "members": {"user:a@example.com"}})
    bigquery_client.set_iam_policy(name, policy)
    run(f"GRANT `{VIEWER}` ON VIEW v TO 'user:b@example.com'")
    (binding,) = bigquery_client.get_iam_policy(name).bindings
    assert (binding["role"], sorted(binding["members"])) == (VIEWER, ["user:a@example.com", "user:b@example.com"])
    asked = ["bigquery.tables.get"]
    assert bigquery_client.test_iam_permissions(name, asked) == {"permissions": asked}


def test_grants_on_schemas_are_the_datasets_access_entries(
    run: Run, bigquery_client: bigquery.Client, dataset: str
) -> None:
    before = bigquery_client.get_dataset(dataset).access_entries
    run(f"GRANT `{VIEWER}` ON SCHEMA {dataset} TO 'group:g@example.com'")
    added = [entry for entry in bigquery_client.get_dataset(dataset).access_entries if entry not in before]
    assert [(entry.role, entry.entity_type, entry.entity_id) for entry in added] == [
        ("READER", "groupByEmail", "g@example.com")
    ]
    found = run(
        "SELECT object_schema, object_type, privilege_type FROM `region-us`.INFORMATION_SCHEMA.OBJECT_PRIVILEGES "
        f"WHERE object_name = '{dataset}' AND grantee = 'group:g@example.com'"
    )
    assert found == [(None, "SCHEMA", VIEWER)]
    run(f"REVOKE `{VIEWER}` ON SCHEMA {dataset} FROM 'group:g@example.com'")
    assert bigquery_client.get_dataset(dataset).access_entries == before


def test_authorized_views_are_access_entries(run: Run, bigquery_client: bigquery.Client, dataset: str) -> None:
    run("CREATE VIEW v AS SELECT 1 AS n")
    resource = bigquery_client.get_dataset(dataset)
    view = {"projectId": PROJECT, "datasetId": dataset, "tableId": "v"}
    resource.access_entries = [*resource.access_entries, bigquery.AccessEntry(None, "view", view)]
    bigquery_client.update_dataset(resource, ["access_entries"])
    assert bigquery_client.get_dataset(dataset).access_entries[-1].entity_id == view
