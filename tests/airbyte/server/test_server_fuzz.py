"""Whatever a client sends, the server answers with success or a refusal of its own, never with "the server failed".

Requests are made from the OpenAPI document: what fits it, what nearly does, and what does not at all; always the same
ones. ``FUZZ_EXAMPLES=500 pytest tests/airbyte/server/test_server_fuzz.py`` looks longer.
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Any, cast
from urllib.parse import quote

import pytest
from airbyte_server.app import create_app
from airbyte_server.services import Services
from airbyte_services import FAKE_DESTINATION, FAKE_SOURCE, AirbyteServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
UNKNOWN = str(uuid.UUID(int=99))
# What a text column, a number or a URL may choke on.
AWKWARD = ["\x00", "a\x00b", "\ud800", "é\U0001f600", "%00", "../..", "NaN", "9" * 30, "-1", "0001-01-01T00:00:00Z", ""]

# Described by the routes alone: no part of the server is needed for that.
DOCUMENT = create_app(cast(Services, None)).openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

Ids = dict[str, str]


@pytest.fixture(scope="module")
def ids(airbyte: AirbyteServer, tmp_path_factory: pytest.TempPathFactory) -> Ids:
    """Things that exist, by the names that parameters and members have, in lower case."""
    connection = airbyte.connect([{"records": 1}, {"status": "users"}], tmp_path_factory.mktemp("fuzzed"))
    shown = airbyte.call("GET", f"/connections/{connection}")
    workspace = shown["workspaceId"]
    tag = airbyte.call("POST", "/tags", json={"workspaceId": workspace, "name": "fuzzed", "color": "00FF00"})
    return {
        "workspaceid": workspace,
        "connectionid": connection,
        "configid": connection,
        "sourceid": shown["sourceId"],
        "destinationid": shown["destinationId"],
        "tagid": tag["tagId"],
        "definitionid": FAKE_SOURCE,
        "sourcedefinitionid": FAKE_SOURCE,
        "destinationdefinitionid": FAKE_DESTINATION,
        "organizationid": str(uuid.UUID(int=0)),
    }


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(AWKWARD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def fitting(schema: dict[str, Any], ids: Ids, name: str = "") -> st.SearchStrategy[Any]:
    """Values of what FastAPI writes of JSON Schema; ids are those of things that exist, by ``name``, or of none."""
    if "$ref" in schema:
        return fitting(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]], ids, name)
    if "anyOf" in schema:
        return st.one_of([fitting(one, ids, name) for one in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    if schema.get("format") == "uuid":
        return st.sampled_from([ids.get(name.replace("_", "").lower(), UNKNOWN), UNKNOWN])
    if schema.get("format") == "date-time":
        return st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    if "pattern" in schema:
        return st.from_regex(schema["pattern"])
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        members = {member: fitting(one, ids, member) for member, one in schema["properties"].items()}
        required = {member: members.pop(member) for member in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional=members)
    if kind == "array":
        return st.lists(fitting(schema["items"], ids, name), max_size=3)
    if kind == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    simple = {
        "object": st.dictionaries(st.text(max_size=5), ANYTHING, max_size=3),
        "string": st.text(max_size=20),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return simple[kind] if kind else ANYTHING


def requests(operation_name: str, ids: Ids) -> st.SearchStrategy[dict[str, Any]]:
    """``path`` and ``query`` parameters, and a ``body``: a JSON value, bytes, or ``None``."""
    operation = OPERATIONS[operation_name]
    if operation_name.startswith("DELETE"):
        ids = {}  # What the other requests are about stays.
    elif "{actor_id}" in operation_name:
        ids = {**ids, "actorid": ids["sourceid" if "/sources" in operation_name else "destinationid"]}
    parameters: dict[str, dict[str, st.SearchStrategy[Any]]] = {"path": {}, "query": {}}
    for parameter in operation.get("parameters", ()):
        good = fitting(parameter["schema"], ids, parameter["name"])
        value = good | good | st.sampled_from(AWKWARD) | st.integers()
        parameters[parameter["in"]][parameter["name"]] = value if parameter.get("required") else st.none() | value
    bodies: st.SearchStrategy[Any] = st.none()
    for content in operation.get("requestBody", {}).get("content", {}).values():
        good = fitting(content["schema"], ids)
        bodies = good | good.flatmap(spoiled) | ANYTHING | st.binary()
    return st.fixed_dictionaries(
        {name: st.fixed_dictionaries(given) for name, given in parameters.items()} | {"body": bodies}
    )


def spoiled(body: Any) -> st.SearchStrategy[Any]:
    """``body`` with one of its members replaced by something awkward."""
    if not isinstance(body, dict) or not body:
        return st.just([body])
    others: list[Any] = [None, [], {}, -1, 10**30, float("nan"), [[[]]], {"_airbyte_encrypted": "x"}]
    change = st.tuples(st.sampled_from(sorted(body)), st.sampled_from(AWKWARD) | st.sampled_from(others))
    return change.map(lambda pair: {**body, pair[0]: pair[1]})


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def encoded(value: Any) -> str:
    return quote(text(value).encode(errors="surrogatepass"), safe="")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_request_makes_the_server_fail(airbyte: AirbyteServer, ids: Ids, operation: str) -> None:
    method, template = operation.split()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(operation, ids))
    def answers(request: dict[str, Any]) -> None:
        path = template
        for name, value in request["path"].items():
            path = path.replace(f"{{{name}}}", encoded(value))
        query = [
            f"{name}={encoded(one)}"
            for name, value in request["query"].items()
            if value is not None
            for one in (value if isinstance(value, list) else [value])
        ]
        body = request["body"]
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        answer = airbyte.http.request(
            method, f"{path}?{'&'.join(query)}", content=content, headers={"Content-Type": "application/json"}
        )
        found = f"{answer.request.method} {answer.request.url}\n{content!r}\n{answer.text}"
        # An awkward path may be that of no operation at all.
        assert answer.status_code < 500 or answer.status_code == 501, found
        if answer.status_code >= 400:
            assert answer.json().keys() & {"title", "message"}, found

    answers()
