"""An HTTP API becomes a source by one YAML file, run by the real ``airbyte-cdk`` in its own environment."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from airbyte_server.declarative.manifest import ManifestError, read_manifest
from airbyte_server.definitions import Definitions
from airbyte_server.errors import Problem
from airbyte_server.services import validate_configuration
from airbyte_server.settings import SettingsError
from airbyte_services import FAKE_DESTINATION, HERE, AirbyteServer, ServerInThisProcess
from real_services import Database

TOKEN = "t0ken-of-cities"


class CitiesApi(HTTPServer):
    """``GET /cities?since=…&page=…``, two cities a page; ``asked`` holds each request's parameters."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.cities: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []

    def add(self, city_id: int) -> None:
        self.cities.append({"id": city_id, "name": f"city {city_id}", "updated_at": f"2026-02-0{city_id}T00:00:00Z"})


class _Handler(BaseHTTPRequestHandler):
    server: CitiesApi

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.send_error(401)
            return
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.server.asked.append(asked)
        first = 2 * (int(asked.get("page", 1)) - 1)
        found = [city for city in self.server.cities if city["updated_at"] >= asked["since"]]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"data": found[first : first + 2]}).encode())

    def log_message(self, format: str, *values: object) -> None:
        pass


@pytest.fixture
def cities() -> Iterator[CitiesApi]:
    server = CitiesApi()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def checked(airbyte: AirbyteServer, source_id: str) -> dict[str, Any]:
    answer = airbyte.call("POST", "/api/v1/sources/check_connection", json={"sourceId": source_id}, timeout=180)
    if re.search(r"could not be installed.*(failed to fetch|dns error|error sending request)", str(answer), re.I):
        pytest.skip(f"airbyte-cdk comes from the package index: {answer['message']}")
    return answer


@pytest.mark.slow
def test_a_manifest_is_a_source_with_pages_and_a_cursor(
    airbyte: AirbyteServer, cities: CitiesApi, tmp_path: Path
) -> None:
    for city_id in (1, 2, 3):
        cities.add(city_id)
    workspace = {"workspaceId": airbyte.workspace()}
    given = {"sourceType": "cities-api", "url": cities.url, "token": TOKEN}
    source = airbyte.call("POST", "/sources", json={"name": "cities", **workspace, "configuration": given})
    assert source["configuration"] == {"url": cities.url, "token": "**********"}
    answer = checked(airbyte, source["sourceId"])
    assert answer["status"] == "succeeded", answer
    to_files = {"name": "to", "definitionId": FAKE_DESTINATION, "configuration": {"folder": str(tmp_path)}}
    destination = airbyte.call("POST", "/destinations", json={**to_files, **workspace})
    streams = {"streams": [{"name": "cities", "syncMode": "incremental_append"}]}
    ends = {"sourceId": source["sourceId"], "destinationId": destination["destinationId"]}
    connection = airbyte.call("POST", "/connections", json={**ends, "configurations": streams}, timeout=60)
    job = airbyte.sync(connection["connectionId"])
    assert (job["status"], job["rowsSynced"]) == ("succeeded", 3), airbyte.explain(job["jobId"])
    assert airbyte.state(connection["connectionId"])["cities"]["updated_at"] == "2026-02-03T00:00:00Z"
    assert [one.get("page") for one in cities.asked[-2:]] == [None, "2"]

    cities.add(4)
    cities.asked.clear()
    job = airbyte.sync(connection["connectionId"])
    assert job["status"] == "succeeded", airbyte.explain(job["jobId"])
    assert {one["since"] for one in cities.asked} == {"2026-02-03T00:00:00Z"}
    records = [json.loads(line)["record"]["data"] for line in (tmp_path / "records.jsonl").read_text().splitlines()]
    assert [record["id"] for record in records] == [1, 2, 3, 3, 4], "the API's since includes the moment itself"
    assert TOKEN not in airbyte.explain(job["jobId"])


def test_a_manifest_given_through_the_api_survives_a_restart_and_tells_what_is_wrong_without_the_secret(
    new_database: Callable[[], Database], airbyte: AirbyteServer, cities: CitiesApi, tmp_path: Path
) -> None:
    cities.add(1)
    server = ServerInThisProcess(new_database().url, tmp_path)
    try:
        # The environment is the same for all: not installed again.
        (tmp_path / "data/environments").symlink_to(airbyte.folder / "data/environments")
        address = f"/workspaces/{server.workspace()}/definitions/declarative_sources"
        manifest = yaml.safe_load((HERE / "manifests/cities-api.yaml").read_text())
        refused = server.call("POST", address, expect=422, json={"name": "C", "manifest": {"type": "Other"}})
        assert "type must be DeclarativeSource" in refused["data"]["message"]
        definition = server.call("POST", address, json={"name": "Cities", "manifest": manifest})["id"]
        server.stop()
        server.start()
        body = {"name": "c", "workspaceId": server.workspace(), "definitionId": definition}
        configuration = {"url": cities.url, "token": "wr0ng-token"}
        source = server.call("POST", "/sources", json={**body, "configuration": configuration})["sourceId"]
        answer = checked(server, source)
        assert (answer["status"], bool(re.search("401|Unauthorized", answer["message"]))) == ("failed", True)
        assert "wr0ng-token" not in json.dumps(answer)
        incomplete = {"url": cities.url}
        problem = server.call("POST", "/sources", expect=422, json={**body, "configuration": incomplete})
        assert "'token' is a required property" in problem["data"]["message"]
        elsewhere = server.call("POST", "/workspaces", json={"name": "another"})["workspaceId"]
        problem = server.call(
            "POST", "/sources", expect=400, json={**body, "workspaceId": elsewhere, "configuration": configuration}
        )
        assert problem["title"] == "value-not-found", "a definition belongs to its workspace"
        server.call("GET", f"/workspaces/{elsewhere}/definitions/declarative_sources/{definition}", expect=404)
    finally:
        server.stop()


def test_a_changed_manifest_is_another_version_of_the_same_connector(tmp_path: Path) -> None:
    file = tmp_path / "cities-api.yaml"
    file.write_text((HERE / "manifests/cities-api.yaml").read_text())
    (before,) = (
        one for one in Definitions.load(None, tmp_path, tmp_path).of_kind("source") if one.name == "Cities api"
    )
    file.write_text(file.read_text().replace("page_size: 2", "page_size: 3"))
    (after,) = (one for one in Definitions.load(None, tmp_path, tmp_path).of_kind("source") if one.name == "Cities api")
    assert before.id == after.id
    assert before.docker_image_tag != after.docker_image_tag


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type: [", "cannot be read"),
        ("- 1", "type must be DeclarativeSource"),
        ("type: DeclarativeSource", "no spec.connection_specification"),
        ("{type: DeclarativeSource, spec: 1}", "no spec.connection_specification"),
        ("{type: DeclarativeSource, spec: {connection_specification: {type: 7}}}", "no JSON Schema"),
    ],
)
def test_files_that_are_no_manifests_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ManifestError, match=rf"broken\.yaml.*{re.escape(message)}"):
        read_manifest(file)
    with pytest.raises(SettingsError, match="AIRBYTE_MANIFESTS_DIR"):
        Definitions.load(None, tmp_path, tmp_path)


def test_a_connector_is_found_in_its_own_environment(tmp_path: Path) -> None:
    executable = tmp_path / "venvs/mine/bin/source-mine"
    executable.parent.mkdir(parents=True)
    executable.write_text("#!/bin/sh\n")
    executable.chmod(0o700)
    file = tmp_path / "connectors.yaml"
    entry = (
        "{id: 00000000-0000-0000-0000-0000000000aa, kind: source, name: Mine, type: mine, command: [source-mine, -v]"
    )
    file.write_text(f"- {entry}, environment: venvs/mine}}\n")
    mine = Definitions.load(file, None, tmp_path).choose("source", None, "mine")
    assert mine.argv == [str(executable), "-v"]


@pytest.mark.parametrize(
    "schema", [{"$ref": "http://127.0.0.1:1/elsewhere.json"}, {"properties": {"url": {"pattern": "("}}}]
)
def test_specifications_that_cannot_be_applied_are_refused_and_nothing_is_fetched(schema: dict[str, Any]) -> None:
    with pytest.raises(Problem) as problem:
        validate_configuration({"url": "x"}, schema)
    assert problem.value.status == 422
