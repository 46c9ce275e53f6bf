"""What a plan shows: differences, their costs, and no secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from octavia import connection, yamlfile
from octavia.diff import Change, actor_difference, connection_difference, new_actor
from octavia.yamlfile import Document

PASSWORD = "hunter2-of-the-shop"


def source(write: Any, configuration: str, **variables: str) -> Document:
    return yamlfile.read(write(f"configuration: {configuration}\n"), {"SHOP_PASSWORD": PASSWORD, **variables})


def remote_connection(project: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The project's connection as wanted, and as a server answers that has it already."""
    desired = connection.desired(yamlfile.read(project.connection, {}))
    answer = {
        **desired,
        "namespaceFormat": None,
        "schedule": {"scheduleType": "manual"},
        "configurations": {
            "streams": [
                {**stream, "namespace": "public", "cursorField": stream.get("cursorField", []), "selectedFields": []}
                for stream in desired["configurations"]["streams"]
            ]
        },
    }
    return desired, answer


def test_a_masked_secret_is_not_a_difference_but_is_named(write: Any) -> None:
    document = source(write, '{host: db, password: "${SHOP_PASSWORD}", ssh: {tunnel_user_password: x}}')
    stored = {
        "host": "db",
        "password": "**********",
        "ssh": {"tunnel_user_password": "**********"},
        "sourceType": "postgres",
    }
    difference = actor_difference(document, {"configuration": stored})
    assert difference.changes == []
    assert difference.secrets == ["password", "ssh.tunnel_user_password"]


def test_changed_added_and_removed_keys_are_shown_without_values_of_secrets(write: Any) -> None:
    document = source(
        write,
        '{port: "${PORT}", schemas: [a, b], ssh: {user: "${SSH_USER}", ssh_key: k3y}, jdbc: "${DB_TOKEN}", on: true}',
        PORT="6000",
        SSH_USER="me",
        DB_TOKEN="t0ken",
    )
    stored = {"port": "5433", "schemas": ["a"], "jdbc": "old", "password": "**********", "token": "plain", "on": 1}
    changes = {
        change.key: (change.before, change.after)
        for change in actor_difference(document, {"configuration": stored}).changes
    }
    assert changes == {
        "configuration.port": ('"5433"', '"6000"'),
        "configuration.schemas": ('["a"]', '["a", "b"]'),
        "configuration.ssh": (None, '{"user": "${SSH_USER}", "ssh_key": "**********"}'),
        "configuration.jdbc": ('"old"', "**********"),
        "configuration.on": ("1", "true"),
        "configuration.password": ("**********", None),
        "configuration.token": ("**********", None),
    }


def test_another_replication_method_names_its_cost(write: Any) -> None:
    document = source(write, "{replication_method: {method: CDC}}")
    stored = {"replication_method": {"method": "Standard"}}
    [change] = actor_difference(document, {"configuration": stored}).changes
    assert change.cost and "a clear of the source's connections" in change.cost


def test_a_new_source_is_shown_as_written(write: Any) -> None:
    document = source(
        write,
        '{host: "${H:-db}", password: "${SHOP_PASSWORD}", api_key: literal, token: "${T:-default}", pin_key: "a${K}"}',
        K="b",
    )
    shown = ['"${H:-db}"', '"${SHOP_PASSWORD}"', '"**********"', '"**********"', '"**********"']
    assert [change.after for change in new_actor(document)] == shown


def test_an_applied_connection_has_no_differences(project: Any) -> None:
    desired, answer = remote_connection(project)
    assert connection_difference(desired, answer) == []


def test_a_cron_schedule_compares_without_the_zone_that_the_server_adds(project: Any) -> None:
    project.edit(
        project.connection,
        "schedule_type: manual",
        'schedule_type: cron\n  schedule_data: {cron: {cron_expression: "0 0 2 * * ?", cron_time_zone: UTC}}',
    )
    desired, answer = remote_connection(project)
    assert desired["schedule"] == {"scheduleType": "cron", "cronExpression": "0 0 2 * * ?"}
    answer["schedule"] = {"scheduleType": "cron", "cronExpression": "0 0 2 * * ? UTC"}
    assert connection_difference(desired, answer) == []
    answer["schedule"] = {"scheduleType": "basic", "basicTiming": "Every 24 HOURS"}
    assert connection_difference(desired, answer) == [
        Change("schedule", "basic Every 24 HOURS", "cron 0 0 2 * * ?", None)
    ]


def test_a_removed_line_goes_back_to_the_default(project: Any) -> None:
    _, answer = remote_connection(project)
    project.edit(project.connection, "  non_breaking_changes_preference: propagate_columns\n", "")
    desired = connection.desired(yamlfile.read(project.connection, {}))
    assert connection_difference(desired, answer) == [
        Change("non_breaking_changes_preference", "propagate_columns", "ignore", None)
    ]


def test_a_new_prefix_says_that_tables_start_empty(project: Any) -> None:
    desired, answer = remote_connection(project)
    (change,) = connection_difference({**desired, "prefix": "eu_"}, answer)
    assert (change.key, change.before, change.after) == ("prefix", '""', "eu_")
    assert change.cost and "start empty" in change.cost


def test_added_and_removed_streams_name_their_cost(project: Any) -> None:
    desired, answer = remote_connection(project)
    project.edit(project.connection, "{name: products}", "{name: items, namespace: public}")
    desired = connection.desired(yamlfile.read(project.connection, {}))
    added, removed = connection_difference(desired, answer)
    assert (added.key, added.before, added.after) == ("streams.items", None, "full_refresh | overwrite")
    assert added.cost and "reads the whole stream" in added.cost
    assert (removed.key, removed.before, removed.after) == ("streams.products", "full_refresh | overwrite", None)
    assert removed.cost and "its table stays" in removed.cost


def test_the_same_stream_of_another_namespace_is_another_stream(project: Any) -> None:
    desired, answer = remote_connection(project)
    answer["configurations"]["streams"][0]["namespace"] = "audit"
    keys = [(change.key, change.before is None) for change in connection_difference(desired, answer)]
    assert keys == [("streams.users", True), ("streams.users", False)]


@pytest.mark.parametrize(
    ("before", "after", "cost"),
    [
        ("full_refresh_overwrite", "incremental_append", "clear it first"),
        ("full_refresh_overwrite", "incremental_deduped_history", "deleted since the last one stay"),
        ("incremental_append", "full_refresh_overwrite", "cursor is given up"),
        ("incremental_append", "full_refresh_append", "append it to what is there"),
        ("incremental_append", "incremental_deduped_history", "appended twice"),
    ],
)
def test_a_changed_sync_mode_names_its_cost(before: str, after: str, cost: str) -> None:
    def one(mode: str) -> dict[str, Any]:
        return {"status": "active", "configurations": {"streams": [{"name": "users", "syncMode": mode}]}}

    (change,) = connection_difference(one(after), one(before))
    assert change.key == "streams.users.sync_mode"
    assert change.cost and cost in change.cost


def test_changed_cursor_key_and_fields_name_their_cost(project: Any) -> None:
    desired, answer = remote_connection(project)
    answer["configurations"]["streams"][0] |= {
        "cursorField": ["created_at"],
        "primaryKey": [["id"], ["email"]],
        "selectedFields": [{"fieldPath": ["id"]}],
    }
    changes = connection_difference(desired, answer)
    assert [(change.key, change.before, change.after) for change in changes] == [
        ("streams.users.cursor_field", "created_at", "updated_at"),
        ("streams.users.primary_key", "id + email", "id"),
        ("streams.users.selected_fields", "id", "all"),
    ]
    assert all(change.cost for change in changes)


def test_a_cursor_or_key_that_the_mode_does_not_use_is_not_compared(tmp_path: Path, project: Any) -> None:
    project.edit(project.connection, "overwrite}", "overwrite, cursor_field: [id], primary_key: [[id]]}")
    stream = connection.desired(yamlfile.read(project.connection, {}))["configurations"]["streams"][1]
    assert stream == {"name": "products", "syncMode": "full_refresh_overwrite"}
