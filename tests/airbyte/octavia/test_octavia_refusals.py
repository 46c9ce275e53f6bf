"""What octavia says when the server misbehaves or refuses: a fake one, as the real one cannot be made to on demand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "hunter2-of-the-shop"


@pytest.fixture
def shop(project: Any, fake_api: Any) -> Any:
    project.env |= {
        "AIRBYTE_API_URL": fake_api.url,
        "AIRBYTE_CLIENT_ID": str(uuid.uuid4()),
        "AIRBYTE_CLIENT_SECRET": "s",
    }
    return project


def failed(result: subprocess.CompletedProcess[str], *messages: str) -> None:
    output = result.stdout + result.stderr
    assert result.returncode == 1, output
    assert "Traceback" not in output
    assert PASSWORD not in output
    for message in messages:
        assert message in result.stderr


def test_nothing_is_sent_when_a_file_is_broken(shop: Any, fake_api: Any) -> None:
    shop.edit(shop.connection, "schedule_type: manual", "scheduleType: manual")
    failed(
        shop.octavia("apply", "--yes"),
        "connections/shop_to_warehouse/configuration.yaml:7",
        "did you mean schedule_type",
    )
    assert fake_api.requests == []


def test_nothing_is_sent_when_a_variable_is_missing(shop: Any, fake_api: Any) -> None:
    del shop.env["SHOP_PASSWORD"]
    failed(shop.octavia("apply", "--yes"), "sources/shop/configuration.yaml:10", "SHOP_PASSWORD is not set")
    assert fake_api.requests == []


def test_wrong_usage_is_an_error_and_not_a_plan_with_changes(shop: Any) -> None:
    failed(shop.octavia("plan", "--nonsense"), "--nonsense")
    failed(shop.octavia("-C", "nowhere", "plan"), "nowhere: no such folder")
    failed(shop.octavia("plan", "-f", "sources/nobody/configuration.yaml"), "no such file")


def test_the_file_named_in_the_place_of_dotenv_must_be_there_and_is_read_alone(shop: Any) -> None:
    failed(shop.octavia("plan", OCTAVIA_ENV_FILE="staging.env"), "OCTAVIA_ENV_FILE is 'staging.env': no such file")
    del shop.env["AIRBYTE_API_URL"]
    (shop.folder / ".env").write_text("AIRBYTE_API_URL=http://127.0.0.1:9/dotenv\n")
    (shop.folder / "staging.env").write_text("AIRBYTE_API_URL=http://127.0.0.1:9/staging\n")
    failed(shop.octavia("plan", OCTAVIA_ENV_FILE="staging.env"), "http://127.0.0.1:9/staging")
    failed(shop.octavia("plan"), "http://127.0.0.1:9/dotenv")


def test_an_unreachable_server_is_named_with_its_setting(shop: Any) -> None:
    failed(shop.octavia("plan", AIRBYTE_API_URL="http://127.0.0.1:9/v1"), "http://127.0.0.1:9/v1", "AIRBYTE_API_URL")
    failed(
        shop.octavia("plan", AIRBYTE_API_URL="127.0.0.1:8000"), "no Airbyte API at 127.0.0.1:8000", "AIRBYTE_API_URL"
    )


def test_something_else_behind_the_address_is_recognised(shop: Any, fake_api: Any) -> None:
    fake_api.replies["GET /sources"] = (200, "text/html", "<html>the web app</html>")
    failed(shop.octavia("plan"), "is AIRBYTE_API_URL the base of a public API?")
    fake_api.replies["POST /applications/token"] = (200, "text/html", "<html>the web app</html>")
    # The SDK keeps a token per client: another one asks again.
    failed(shop.octavia("plan", AIRBYTE_CLIENT_ID=str(uuid.uuid4())), f"no Airbyte API at {fake_api.url}")
    del fake_api.replies["POST /applications/token"]
    fake_api.replies["GET /workspaces"] = (404, "text/plain", "Not here")
    failed(shop.octavia("plan"), "answered 404: Not here", "is AIRBYTE_API_URL the base of a public API?")


def test_refused_credentials_are_named(shop: Any, fake_api: Any) -> None:
    fake_api.refuse("POST /applications/token", 401, {})
    failed(shop.octavia("plan"), "AIRBYTE_CLIENT_SECRET")
    failed(shop.octavia("plan", AIRBYTE_CLIENT_SECRET=""), "AIRBYTE_CLIENT_SECRET is not set")
    problem = {"status": 403, "title": "forbidden", "detail": "not yours"}
    del fake_api.replies["POST /applications/token"]
    fake_api.refuse("GET /connections", 403, problem)
    failed(shop.octavia("plan"), "answered 403: forbidden: not yours", "AIRBYTE_CLIENT_ID")


def test_a_secret_that_the_server_quotes_is_not_printed(shop: Any, fake_api: Any) -> None:
    problem = {"title": "unprocessable-entity", "data": {"message": f"password {PASSWORD!r} is too short"}}
    fake_api.refuse("POST /sources", 422, problem)
    result = shop.octavia("apply", "--yes")
    failed(result, "sources/shop/configuration.yaml: source shop: the server answered 422", "'**********' is too short")


def test_a_refused_step_stops_the_rest_and_what_was_done_is_reported(shop: Any, fake_api: Any) -> None:
    fake_api.refuse("POST /connections", 400, {"title": "bad-request", "data": {"message": "unknown stream users"}})
    result = shop.octavia("apply", "--yes")
    failed(result, "connections/shop_to_warehouse/configuration.yaml", "unknown stream users")
    assert "created source shop" in result.stdout
    assert "created destination warehouse" in result.stdout
    assert "created connection" not in result.stdout
    del fake_api.replies["POST /connections"]
    result = shop.octavia("apply", "--yes")
    assert result.returncode == 0, result.stderr
    assert fake_api.changes.count("POST /sources") == 1


def test_without_a_yes_nothing_is_sent(shop: Any, fake_api: Any) -> None:
    failed(shop.octavia("apply", stdin="n\n"), "nothing was sent")
    failed(shop.octavia("apply", stdin=""), "nothing was sent")
    assert fake_api.changes == []


def test_a_name_that_two_resources_have_is_refused(shop: Any, fake_api: Any) -> None:
    for name in ("one", "two"):
        fake_api.resources["sources"].append({"sourceId": name, "name": "shop"})
    failed(shop.octavia("plan"), "2 sources are named 'shop' (one, two)")


def test_what_the_api_cannot_change_is_refused_before_anything_is_sent(shop: Any, fake_api: Any) -> None:
    assert shop.octavia("apply", "--yes").returncode == 0
    sent = len(fake_api.changes)
    shop.edit(shop.source, "decd338e", "decd338f")
    failed(shop.octavia("apply", "--yes"), "configuration.yaml:3: definition_id", "use another resource_name")
    shop.edit(shop.source, "decd338f", "decd338e")
    shop.edit(shop.source, "resource_name: shop", "resource_name: market")
    failed(shop.octavia("apply", "--yes"), "configuration.yaml:3: source_configuration_path", "not market")
    assert len(fake_api.changes) == sent


def test_all_pages_are_read(shop: Any, fake_api: Any) -> None:
    fake_api.resources["sources"] = [{"sourceId": f"id-{number}", "name": f"s{number:03}"} for number in range(250)]
    lines = shop.octavia("list", "sources").stdout.splitlines()
    assert len(lines) == 250
    assert lines[-1].split() == ["source", "s249", "id-249"]


def test_the_installed_command_exits_2_for_changes_and_1_for_errors(shop: Any) -> None:
    command = [Path(sys.executable).parent / "octavia", "-C", str(shop.folder), "plan"]
    environment = {**os.environ, **shop.env}
    assert subprocess.run(command, env=environment, capture_output=True).returncode == 2
    environment["AIRBYTE_API_URL"] = "http://127.0.0.1:9"
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: no Airbyte API at")


def test_a_server_without_credentials_is_used_without_a_token(shop: Any, fake_api: Any) -> None:
    result = shop.octavia("list", AIRBYTE_CLIENT_ID="", AIRBYTE_CLIENT_SECRET="")
    assert result.returncode == 0, result.stderr
    assert not any("token" in path for _, path, _ in fake_api.requests)


def test_what_the_server_stores_is_what_the_files_say(shop: Any, fake_api: Any) -> None:
    shop.env |= {"WAREHOUSE_ENDPOINT": "http://127.0.0.1:1", "SHOP_PORT": "6000"}
    assert shop.octavia("apply", "--yes").returncode == 0
    source, destination, connection = (
        body for method, path, body in fake_api.requests if method == "POST" and "token" not in path
    )
    assert source["configuration"]["password"] == PASSWORD
    assert source["configuration"]["port"] == 6000
    assert destination["configuration"]["api_endpoint"] == "http://127.0.0.1:1"
    assert "credentials_json" not in destination["configuration"]
    assert connection["nonBreakingSchemaUpdatesBehavior"] == "propagate_columns"
    assert connection["configurations"]["streams"] == [
        {
            "name": "users",
            "namespace": "public",
            "syncMode": "incremental_deduped_history",
            "cursorField": ["updated_at"],
            "primaryKey": [["id"]],
        },
        {"name": "products", "syncMode": "full_refresh_overwrite"},
    ]
    assert json.dumps(connection["schedule"]) == '{"scheduleType": "manual"}'
