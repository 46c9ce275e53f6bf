"""Files from a workspace, drift, state and removal, against the real server with the real Postgres source behind it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from airbyte_api import api, models
from octavia_shop import PASSWORD_VARIABLE, sdk, succeeded
from real_services import BIN

SPEC = BIN / "source-postgres"


def test_what_was_changed_by_hand_is_drift(shop: Any) -> None:
    succeeded(shop.octavia("apply", "--yes"))
    assert "No drift: 3 resource(s)" in succeeded(shop.octavia("drift"))
    connection = json.loads(succeeded(shop.octavia("get", "connection", "shop_to_warehouse")))
    changed = models.ConnectionPatchRequest(name="shop_to_warehouse", prefix="by_hand_")
    sdk(shop.env).connections.patch_connection(
        request=api.PatchConnectionRequest(connection_id=connection["connectionId"], connection_patch_request=changed)
    )
    shop.edit(shop.source, "resource_name: shop\n", "resource_name: shop_renamed\n")
    (shop.connection).rename(shop.connection.with_suffix(".off"))
    shown = succeeded(shop.octavia("drift"), 2)
    assert "- source shop_renamed" in shown and "is not there" in shown
    assert "+ source shop  is there, but not declared" in shown
    assert "+ connection shop_to_warehouse  is there, but not declared" in shown
    (shop.connection.with_suffix(".off")).rename(shop.connection)
    shop.edit(shop.source, "resource_name: shop_renamed\n", "resource_name: shop\n")
    shown = succeeded(shop.octavia("drift"), 2)
    assert 'prefix: declared "", there by_hand_' in shown
    assert succeeded(shop.octavia("drift", "-f", str(shop.source)))


def test_destroy_deletes_what_is_declared_and_nothing_else(shop: Any) -> None:
    succeeded(shop.octavia("apply", "--yes"))
    text = shop.connection.read_text()
    shop.connection.unlink()
    refused = shop.octavia("destroy", "--yes")
    assert refused.returncode == 1
    assert "connection shop_to_warehouse, which is not declared here, uses destination warehouse" in refused.stderr
    shop.connection.write_text(text)
    assert shop.octavia("destroy", stdin="n\n").returncode == 1
    shown = succeeded(shop.octavia("destroy", "--yes"))
    assert shown.index("deleted connection shop_to_warehouse") < shown.index("deleted source shop")
    assert succeeded(shop.octavia("list")) == ""
    assert "Nothing to delete" in succeeded(shop.octavia("destroy"))


def test_an_imported_workspace_is_as_declared(shop: Any) -> None:
    shop.edit(shop.connection, "schedule_type: manual", CRON)
    shop.edit(shop.connection, "primary_key: [[id]]", "primary_key: [[id]]\n" + SELECTED)
    succeeded(shop.octavia("apply", "--yes"))
    other = shop.folder.parent / "imported"
    other.mkdir()
    shop.folder = other
    succeeded(shop.octavia("init"))
    assert (other / "schemas/connection.schema.json").is_file() and (other / ".gitignore").read_text() == ".env\n"
    assert "has all of it already" in succeeded(shop.octavia("init"))

    shown = succeeded(shop.octavia("import", "connection", "shop_to_warehouse", SHOP_PASSWORD=""))
    assert [line.split(":")[0] for line in shown.splitlines()[:3]] == [
        "source shop",
        "destination warehouse",
        "connection shop_to_warehouse",
    ]
    file = other / "sources/shop/configuration.yaml"
    assert 'password: "${SHOP_PASSWORD}"' in file.read_text()
    first, *_ = file.read_text().splitlines()
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / schema).resolve() == (other / "schemas/actor.schema.json").resolve()
    assert shop.env[PASSWORD_VARIABLE] not in shown + file.read_text()
    assert "No changes: 3 resource(s) are as declared." in succeeded(shop.octavia("plan"))
    assert succeeded(shop.octavia("import", "all")) == ""
    refused = shop.octavia("import", "source", "shop")
    assert refused.returncode == 1 and "is there already: --force" in refused.stderr
    file.write_text(file.read_text().replace("database:", "database: changed #"))
    succeeded(shop.octavia("import", "source", "shop", "--force"))
    assert "No changes" in succeeded(shop.octavia("plan"))


def test_a_generated_project_can_be_applied(shop: Any, tmp_path: Path) -> None:
    wanted = yaml.safe_load(shop.source.read_text().replace("${", "$${"))
    shop.folder = tmp_path / "generated"
    shop.folder.mkdir()
    spec = tmp_path / "spec.json"
    spec.write_bytes(subprocess.run([SPEC, "spec"], check=True, capture_output=True).stdout)
    succeeded(shop.octavia("init"))
    succeeded(shop.octavia("generate", "source", "Postgres", "my shop", "--spec", str(spec)))
    file = shop.folder / "sources/my_shop/configuration.yaml"
    content = yaml.safe_load(file.read_text())
    assert content["resource_name"] == "my shop"
    assert content["configuration"]["host"] == "${MY_SHOP_HOST}"
    assert '  # password: "${MY_SHOP_PASSWORD}"' in file.read_text()
    configuration = {**wanted["configuration"], "password": "${SHOP_PASSWORD}", "host": "${SHOP_HOST}"}
    configuration |= {"port": "${SHOP_PORT}", "username": "${SHOP_USER}"}
    text = yaml.safe_dump({**content, "configuration": configuration}).replace("'${SHOP_PORT}'", "${SHOP_PORT}")
    file.write_text(text)
    succeeded(shop.octavia("generate", "destination", "BigQuery", "warehouse"))
    destination = shop.folder / "destinations/warehouse/configuration.yaml"
    destination.write_text(destination.read_text().replace("configuration: {}", DESTINATION))
    succeeded(shop.octavia("apply", "--yes"))

    ends = ("--source", "sources/my_shop/configuration.yaml", "--destination", str(destination))
    succeeded(shop.octavia("generate", "connection", "shop to warehouse", *ends))
    file = shop.folder / "connections/shop_to_warehouse/configuration.yaml"
    streams = yaml.safe_load(file.read_text())["configuration"]["sync_catalog"]["streams"]
    assert [entry["stream"]["name"] for entry in streams] == ["payments", "products", "users"]
    assert "# email, id, updated_at" in file.read_text() or "# id, email, updated_at" in file.read_text()
    assert "created connection shop to warehouse" in succeeded(shop.octavia("apply", "--yes"))
    unknown = shop.octavia("generate", "source", "Oracle", "x")
    assert unknown.returncode == 1 and "no source connectors are 'Oracle'; the server has: " in unknown.stderr


def test_state_goes_to_a_file_and_back_to_a_rebuilt_connection(shop: Any) -> None:
    succeeded(shop.octavia("apply", "--yes"))
    file = shop.folder / "state.json"
    assert "not_set state of no streams" in succeeded(shop.octavia("state", "export", "shop_to_warehouse", str(file)))
    # Digits that a double cannot hold.
    state = (
        '{"stateType":"stream","connectionId":"%s","streamState":[{"streamDescriptor":{"name":"users",'
        '"namespace":"public"},"streamState":{"cursor":12345678901234567890.000000000123456789}}]}'
    )
    file.write_text(state % "00000000-0000-0000-0000-000000000000")
    assert shop.octavia("state", "import", "shop_to_warehouse", str(file), stdin="n\n").returncode == 1
    shown = succeeded(shop.octavia("state", "import", "shop_to_warehouse", str(file), "--yes"))
    assert "now:   not_set state of no streams" in shown and "after: stream state of users" in shown

    succeeded(shop.octavia("destroy", "--yes"))
    succeeded(shop.octavia("apply", "--yes"))
    succeeded(shop.octavia("state", "import", "shop_to_warehouse", str(file), "--yes"))
    succeeded(shop.octavia("state", "export", "shop_to_warehouse", str(file)))
    connection = json.loads(succeeded(shop.octavia("get", "connection", "shop_to_warehouse")))
    assert json.loads(file.read_text())["connectionId"] == connection["connectionId"]
    assert '"cursor":12345678901234567890.000000000123456789' in file.read_text()
    file.write_text('{"stateType": "someday"}')
    refused = shop.octavia("state", "import", "shop_to_warehouse", str(file), "--yes")
    assert refused.returncode == 1 and "stateType is 'someday'" in refused.stderr
    file.write_text('{"stateType": "stream"}')
    refused = shop.octavia("state", "import", "shop_to_warehouse", str(file), "--yes")
    assert refused.returncode == 1 and "not a connection's state" in refused.stderr


def test_a_workspace_is_chosen_by_name(shop: Any, request: pytest.FixtureRequest) -> None:
    del shop.env["AIRBYTE_WORKSPACE_ID"]
    succeeded(shop.octavia("--workspace", request.node.name, "apply", "--yes"))
    assert len(succeeded(shop.octavia("-w", request.node.name, "list")).splitlines()) == 3
    assert "3 to create" in succeeded(shop.octavia("plan"), 2)
    refused = shop.octavia("-w", "elsewhere", "plan")
    assert refused.returncode == 1 and "no workspaces are named 'elsewhere'" in refused.stderr


def test_state_needs_a_config_api(shop: Any, fake_api: Any) -> None:
    refused = shop.octavia("state", "export", "x", "f", AIRBYTE_API_URL=fake_api.url, AIRBYTE_WORKSPACE_ID="")
    assert refused.returncode == 1 and "no connection is named" in refused.stderr
    connection = {"connectionId": "c", "name": "x", "sourceId": "s", "destinationId": "d", "workspaceId": "w"}
    connection |= {"status": "active", "schedule": {"scheduleType": "manual"}, "createdAt": 0, "tags": []}
    fake_api.resources["connections"].append({**connection, "dataResidency": "auto", "configurations": {}})
    refused = shop.octavia("state", "export", "x", "f", AIRBYTE_API_URL=fake_api.url, AIRBYTE_WORKSPACE_ID="")
    assert refused.returncode == 1 and "there is no Config API" in refused.stderr


CRON = """schedule_type: cron
  schedule_data: {cron: {cron_expression: "0 30 5 * * ?"}}"""
SELECTED = """\
          field_selection_enabled: true
          selected_fields: [{field_path: [id]}, {field_path: [updated_at]}]
"""
DESTINATION = """configuration:
  project_id: marketplace-analytics
  dataset_id: raw
  dataset_location: US
  loading_method: {method: Standard}
"""
