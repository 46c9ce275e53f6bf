"""Secrets reach connectors and nobody else; no call is answered without a token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from airbyte_services import AirbyteServer, ServerInThisProcess
from cryptography.fernet import Fernet
from real_services import Database

from local_stack.postgres import EmbeddedPostgres

# As they are, and as a JSON string or a log writes them.
SECRETS = ("s3cret-key", 'with "quotes" and ü', "p3m-nested", "t0ken-of-list")
OPEN = {
    "GET /api/public/v1/health",
    "GET /api/v1/health",
    "POST /api/public/v1/applications/token",
    "POST /api/v1/applications/token",
}


def occurrences(text: str, place: str) -> list[str]:
    forms = {form for secret in SECRETS for form in (secret, json.dumps(secret)[1:-1])}
    return [f"{form} in {place}" for form in forms if form in text]


def test_secrets_are_in_no_answer_log_file_or_table(
    airbyte: AirbyteServer, tmp_path: Path, postgres_server: EmbeddedPostgres
) -> None:
    key, quoted, nested, listed = SECRETS
    said = " ".join(SECRETS)
    script = [
        {"log": said},
        {"text": said},
        {"once": str(tmp_path / "once"), "steps": [{"crash": said}]},
        {"error": "config_error", "message": said},
    ]
    configuration = {"api_key": key, "nested": {"kind": "key", "private": nested}, "tokens": [listed, quoted]}
    # A script is no secret, and stored: the words that the source says come from a file.
    words = tmp_path / "script.json"
    words.write_text(json.dumps(script))
    connection = airbyte.connect([{"script_file": str(words)}], tmp_path / "out", source=configuration)
    ids = {"connectionId": connection, "sourceId": airbyte.call("GET", f"/connections/{connection}")["sourceId"]}
    job = airbyte.sync(connection)
    assert job["status"] == "failed"
    attempts = airbyte.details(job["jobId"])["attempts"]
    assert len(attempts) == 2
    airbyte.call("PATCH", f"/sources/{ids['sourceId']}", json={"configuration": {"reachable": False}})
    told = [
        airbyte.call("GET", f"/sources/{ids['sourceId']}"),
        airbyte.call("POST", "/api/v1/sources/check_connection", json=ids),
        airbyte.call("POST", "/api/v1/sources/discover_schema", json={**ids, "disable_cache": True}, expect=422),
        airbyte.call("POST", "/api/v1/web_backend/connections/get", json=ids),
        airbyte.call("PATCH", f"/sources/{ids['sourceId']}", json={"configuration": {"script": key}}, expect=422),
        airbyte.call("GET", "/openapi.json"),
        attempts,
        httpx.get(airbyte.url).text,
    ]
    assert "**********" in json.dumps(attempts[0]), "the words of the crash are in the log, masked"
    found = [one for answer in told for one in occurrences(json.dumps(answer, ensure_ascii=False), str(answer)[:60])]
    for file in airbyte.folder.rglob("*"):
        # Environments hold other people's code.
        if file.is_file() and "environments" not in file.parts:
            found += occurrences(file.read_text(errors="replace"), str(file))
    with psycopg.connect(postgres_server.conninfo("airbyte_meta")) as database:
        tables = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows = database.execute(f'SELECT t::text FROM "{table}" t').fetchall()
            found += occurrences("\n".join(row for (row,) in rows), table)
    assert found == []


def test_masked_members_of_lists_and_variants_keep_their_values(airbyte: AirbyteServer) -> None:
    given = {"tokens": ["one", "two"], "nested": {"kind": "key", "private": "p"}, "api_key": "k"}
    source = airbyte.source([], **given)
    shown = airbyte.call("GET", f"/sources/{source}")["configuration"]
    assert shown["tokens"] == ["**********", "**********"]
    assert shown["nested"] == {"kind": "key", "private": "**********"}
    longer = {"tokens": [*shown["tokens"], "**********"]}
    problem = airbyte.call("PATCH", f"/sources/{source}", json={"configuration": longer}, expect=422)
    assert "no stored value to keep" in problem["data"]["message"]


def test_keys_are_rotated_by_starting_with_the_new_one_first(
    new_database: Callable[[], Database], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    server = ServerInThisProcess(new_database().url, tmp_path, AIRBYTE_SECRETS_KEY=old)
    try:
        source = server.source([], api_key="kept-secret", reachable=False)
        for keys in (f"{new},{old}", new):
            server.stop()
            server.start(AIRBYTE_SECRETS_KEY=keys)
            answer = server.call("POST", "/api/v1/sources/check_connection", json={"sourceId": source})
            assert answer["message"] == "cannot log in with **********"
        server.stop()
        server.start(AIRBYTE_SECRETS_KEY=old)
        assert server.call("GET", f"/sources/{source}")["configuration"]["api_key"] == "**********"
        assert "encrypted with another key" in caplog.text
        assert not (tmp_path / "data/secrets.key").exists()
    finally:
        server.stop()


def test_no_call_is_answered_without_a_token(airbyte: AirbyteServer) -> None:
    document: dict[str, dict[str, Any]] = airbyte.call("GET", "/openapi.json")["paths"]
    calls = [(method.upper(), path) for path, methods in document.items() for method in methods]
    assert len(calls) > 70
    with httpx.Client(base_url=airbyte.url) as stranger:
        answered = {f"{method} {path}" for method, path in calls if stranger.request(method, path).status_code != 401}
    assert answered == OPEN
    described = {
        f"{method.upper()} {path}"
        for path, methods in document.items()
        for method, operation in methods.items()
        if "security" not in operation
    }
    assert described == OPEN


@pytest.mark.parametrize("credentials", [{}, {"client_id": "test-client"}, {"client_id": "é", "client_secret": "\x00"}])
def test_a_token_costs_the_right_credentials(airbyte: AirbyteServer, credentials: dict[str, str]) -> None:
    for encoding in ("json", "data"):
        answer = httpx.post(f"{airbyte.url}/v1/applications/token", **{encoding: credentials})
        assert answer.status_code in (400, 401)
