"""octavia against the real server, with the real Postgres source behind it."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from airbyte_api import api, errors
from octavia_shop import PASSWORD_VARIABLE, sdk, succeeded
from real_services import ROOT

RESOURCES = [("source", "shop"), ("destination", "warehouse"), ("connection", "shop_to_warehouse")]


def test_apply_makes_the_workspace_as_declared_and_a_second_one_changes_nothing(shop: Any) -> None:
    planned = succeeded(shop.octavia("plan"), 2)
    assert "+ source shop" in planned
    assert 'configuration.password: "${SHOP_PASSWORD}"' in planned
    assert "+ streams.users: incremental | append_dedup, cursor updated_at, key id" in planned
    assert "Plan: 3 to create, 0 to change, 0 as declared." in planned

    applied = succeeded(shop.octavia("apply", "--yes"))
    assert "created connection shop_to_warehouse" in applied

    assert "No changes: 3 resource(s) are as declared." in succeeded(shop.octavia("plan"))
    before = [shop.octavia("get", kind, name).stdout for kind, name in RESOURCES]
    again = succeeded(shop.octavia("apply"))
    assert "No changes" in again
    assert "created" not in again and "changed" not in again
    assert [shop.octavia("get", kind, name).stdout for kind, name in RESOURCES] == before
    assert shop.env[PASSWORD_VARIABLE] not in planned + applied + again + "".join(before)


def test_list_and_get_show_what_is_there(shop: Any) -> None:
    succeeded(shop.octavia("apply", "--yes"))
    rows = [line.split() for line in succeeded(shop.octavia("list")).splitlines()]
    assert [row[:2] for row in rows] == [list(resource) for resource in RESOURCES]
    assert [row[2] for row in rows if row[0] == "source"] == [succeeded(shop.octavia("list", "sources")).split()[2]]
    by_name = json.loads(succeeded(shop.octavia("get", "source", "shop")))
    assert by_name == json.loads(succeeded(shop.octavia("get", "source", rows[0][2])))
    assert by_name["configuration"]["password"] == "**********"
    assert by_name["configuration"]["port"] == int(shop.env["SHOP_PORT"])
    result = shop.octavia("get", "source", "nobody")
    assert result.returncode == 1
    assert "no source is named or has the id 'nobody'; there are: shop" in result.stderr


def test_edits_are_planned_with_their_cost_and_applied(shop: Any) -> None:
    succeeded(shop.octavia("apply", "--yes"))
    shop.edit(shop.connection, "{name: products}", "{name: payments}")
    shop.edit(shop.connection, "append_dedup", "append")
    shop.edit(shop.connection, "configuration:\n", "configuration:\n  prefix: shop_\n")
    shop.env["WAREHOUSE_ENDPOINT"] = "http://127.0.0.1:9"
    planned = succeeded(shop.octavia("plan"), 2)
    for line in (
        '+ configuration.api_endpoint: "${WAREHOUSE_ENDPOINT:-}"',
        '~ prefix: "" -> shop_',
        "~ streams.users.sync_mode: incremental | append_dedup -> incremental | append",
        "+ streams.payments: full_refresh | overwrite",
        "- streams.products: full_refresh | overwrite",
        "costs: no longer read; its table stays",
        "Plan: 0 to create, 2 to change, 1 as declared.",
    ):
        assert line in planned
    applied = succeeded(shop.octavia("apply", stdin="y\n"))
    assert applied.endswith("changed destination warehouse\nchanged connection shop_to_warehouse\n")
    assert "No changes" in succeeded(shop.octavia("plan"))
    connection = json.loads(succeeded(shop.octavia("get", "connection", "shop_to_warehouse")))
    assert connection["prefix"] == "shop_"
    assert sorted(stream["name"] for stream in connection["configurations"]["streams"]) == ["payments", "users"]


def test_a_key_taken_out_of_a_file_is_taken_out_of_the_configuration(shop: Any) -> None:
    shop.env["WAREHOUSE_ENDPOINT"] = "http://127.0.0.1:9"
    succeeded(shop.octavia("apply", "--yes"))
    del shop.env["WAREHOUSE_ENDPOINT"]
    assert '- configuration.api_endpoint: "http://127.0.0.1:9"' in succeeded(shop.octavia("apply", "--yes"))
    assert "api_endpoint" not in json.loads(succeeded(shop.octavia("get", "destination", "warehouse")))["configuration"]


def test_a_changed_password_arrives_though_it_cannot_be_compared(shop: Any, database: Any) -> None:
    succeeded(shop.octavia("apply", "--yes"))
    source_id = json.loads(succeeded(shop.octavia("get", "source", "shop")))["sourceId"]

    def discover() -> int:
        request = api.GetStreamPropertiesRequest(source_id=source_id, ignore_cache=True)
        return sdk(shop.env).streams.get_stream_properties(request=request).status_code

    with psycopg.connect(database.superuser_conninfo, autocommit=True) as connection:
        connection.execute(f"alter role {database.user} password 'a-new-one'")
    with pytest.raises(errors.SDKError, match="password"):
        discover()
    applied = succeeded(shop.octavia("apply", **{PASSWORD_VARIABLE: "a-new-one"}))
    assert "source shop: Airbyte does not give secrets back to compare; apply always sends password again" in applied
    assert "No changes" in applied
    assert discover() == 200


def test_a_stream_that_the_source_lacks_is_refused_and_changes_nothing(shop: Any) -> None:
    succeeded(shop.octavia("apply", "--yes"))
    before = shop.octavia("get", "connection", "shop_to_warehouse").stdout
    shop.edit(shop.connection, "{name: products}", "{name: productz}")
    result = shop.octavia("apply", "--yes")
    assert result.returncode == 1
    assert "connections/shop_to_warehouse/configuration.yaml" in result.stderr
    assert "productz" in result.stderr
    assert shop.octavia("get", "connection", "shop_to_warehouse").stdout == before


def test_a_wrong_password_is_named_with_the_connection_that_needed_it(shop: Any) -> None:
    result = shop.octavia("apply", "--yes", **{PASSWORD_VARIABLE: "wrong-but-secret"})
    assert result.returncode == 1
    assert "connections/shop_to_warehouse/configuration.yaml (source: sources/shop/configuration.yaml)" in result.stderr
    assert "wrong or missing password" in result.stderr
    assert "wrong-but-secret" not in result.stdout + result.stderr


def test_an_unknown_workspace_is_named_with_its_setting(shop: Any) -> None:
    result = shop.octavia("plan", AIRBYTE_WORKSPACE_ID="8f57d315-26f9-4322-913d-6ad2e70675ec")
    assert result.returncode == 1
    assert "workspace 8f57d315-26f9-4322-913d-6ad2e70675ec (AIRBYTE_WORKSPACE_ID): the server" in result.stderr


def test_a_configuration_that_the_connector_refuses_is_named(shop: Any) -> None:
    result = shop.octavia("apply", "--yes", SHOP_PORT="not-a-port")
    assert result.returncode == 1
    assert "sources/shop/configuration.yaml" in result.stderr
    assert "port" in result.stderr


def test_one_file_can_be_applied_alone(shop: Any) -> None:
    assert "Plan: 1 to create" in succeeded(shop.octavia("plan", "-f", "sources/shop/configuration.yaml"), 2)
    succeeded(shop.octavia("apply", "--yes", "-f", "sources/shop/configuration.yaml"))
    assert [line.split()[1] for line in succeeded(shop.octavia("list")).splitlines()] == ["shop"]
    result = shop.octavia("apply", "--yes", "-f", str(shop.connection))
    assert result.returncode == 1
    assert "destination warehouse is not in the workspace: apply" in result.stderr
    both = ("-f", str(shop.destination), "-f", str(shop.connection))
    assert "created connection" in succeeded(shop.octavia("apply", "--yes", *both))


def test_a_renamed_connection_is_announced_as_a_second_one(shop: Any) -> None:
    succeeded(shop.octavia("apply", "--yes"))
    shop.edit(shop.connection, "shop_to_warehouse", "shop_anew")
    planned = succeeded(shop.octavia("plan"), 2)
    assert "connection shop_to_warehouse already joins the same source and destination" in planned


def test_settings_come_from_dotenv_files_and_the_environment_wins(shop: Any) -> None:
    in_file = {name: shop.env.pop(name) for name in list(shop.env)}
    (shop.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in in_file.items()))
    assert "3 to create" in succeeded(shop.octavia("plan"), 2)
    elsewhere = shop.folder.parent / "repository"
    elsewhere.mkdir()
    shop.folder.rename(elsewhere / "airbyte")
    shop.folder = elsewhere
    assert "3 to create" in succeeded(shop.octavia("plan"), 2)
    assert shop.octavia("plan", AIRBYTE_API_URL="http://127.0.0.1:9").returncode == 1


def test_the_declared_marketplace_applies_to_the_marketplace_schema(shop: Any, database: Any) -> None:
    with psycopg.connect(database.conninfo) as connection:
        connection.execute("drop table users, products, payments")
        connection.execute((ROOT / "source_db/schema.sql").read_text())
    declared = ("-C", str(ROOT / "airbyte"))
    shop.env |= {
        "SOURCE_POSTGRES_HOST": database.host,
        "SOURCE_POSTGRES_PORT": str(database.port),
        "SOURCE_POSTGRES_DATABASE": database.name,
        "SOURCE_POSTGRES_USER": database.user,
        "SOURCE_POSTGRES_PASSWORD": database.password,
        "BIGQUERY_API_ENDPOINT": "http://127.0.0.1:9",
    }
    planned = succeeded(shop.octavia(*declared, "apply", "--yes"))
    assert planned.count("streams.") == 9
    assert "No changes" in succeeded(shop.octavia(*declared, "plan"))
    connection = json.loads(succeeded(shop.octavia(*declared, "get", "connection", "marketplace_postgres_to_bigquery")))
    streams = {stream["name"]: stream for stream in connection["configurations"]["streams"]}
    for name, mode, cursor in (
        ("users", "incremental_deduped_history", ["updated_at"]),
        ("orders", "incremental_deduped_history", ["updated_at"]),
        ("event_log", "incremental_append", ["id"]),
    ):
        stream = streams.pop(name)
        assert (stream["syncMode"], stream["cursorField"]) == (mode, cursor)
    assert {stream["syncMode"] for stream in streams.values()} == {"full_refresh_overwrite"}


def test_a_schema_is_discovered_anew_and_a_connection_cleared(shop: Any, database: Any, bigquery_endpoint: str) -> None:
    shop.env["WAREHOUSE_ENDPOINT"] = bigquery_endpoint
    succeeded(shop.octavia("apply", "--yes"))
    with psycopg.connect(database.conninfo) as source:
        source.execute("ALTER TABLE products ADD COLUMN price numeric")
    assert "\nproducts: id, price, title\n" in succeeded(shop.octavia("discover", "shop_to_warehouse"))

    refused = shop.octavia("clear", "shop_to_warehouse")
    assert refused.returncode == 1 and "not confirmed" in refused.stderr
    assert "cleared connection shop_to_warehouse (job " in succeeded(
        shop.octavia("clear", "shop_to_warehouse", "--yes")
    )
    assert "no connection is named" in shop.octavia("clear", "nothing", "--yes").stderr
