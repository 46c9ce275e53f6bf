"""routines (https://cloud.google.com/bigquery/docs/reference/rest/v2/routines): functions in SQL.

What is given is written as a CREATE FUNCTION statement, so that the analyzer checks it as it checks the statement.
"""

from __future__ import annotations

import re
from typing import Any

from bq_emulator import routines as engine
from bq_emulator.emulator import Emulator
from bq_emulator.model import BigQueryError, CreateFunction, RoutineRef
from bq_emulator.rest.call import Call, page
from bq_emulator.sql import routines
from bq_emulator.sql.routines import NAME

_TYPES = ("SCALAR_FUNCTION", "TABLE_VALUED_FUNCTION", "AGGREGATE_FUNCTION")
_REFUSED = (
    "importedLibraries",
    "strictMode",
    "remoteFunctionOptions",
    "sparkOptions",
    "dataGovernanceType",
    "securityMode",
    "pythonOptions",
    "externalRuntimeOptions",
)
#: What a list shows of each, unless a readMask asks for more.
_LISTED = ("routineReference", "routineType", "creationTime", "lastModifiedTime", "language", "etag")


def _ref(call: Call) -> RoutineRef:
    return RoutineRef(call.emulator.project, call.path["dataset"], call.path["routine"])


def _statement(emulator: Emulator, ref: RoutineRef, body: dict[str, Any], replace: bool) -> CreateFunction:
    """The CREATE FUNCTION that makes what ``body`` describes.

    Raises:
        BigQueryError: what is wrong with it.
    """
    for key in _REFUSED:
        if body.get(key):
            raise BigQueryError("notImplemented", f"The routine property {key} is not supported by this emulator.")
    kind, language = body.get("routineType"), body.get("language") or "SQL"
    if kind not in _TYPES:
        raise BigQueryError(
            "notImplemented", f"Routines of type {kind} are not supported by this emulator; it has {', '.join(_TYPES)}."
        )
    if language != "SQL":
        raise BigQueryError("notImplemented", f"Routines in {language} are not supported by this emulator.")
    if not body.get("definitionBody"):
        raise BigQueryError("required", "Required parameter is missing: definitionBody")
    create = "CREATE OR REPLACE" if replace else "CREATE"
    text = routines.to_statement(f"`{ref.project}`.`{ref.dataset}`.`{ref.routine}`", body, create)
    with emulator.database.transaction() as db:
        statement = emulator.query_runner.statement(db, text)
    if not isinstance(statement, CreateFunction) or statement.target != ref:
        raise BigQueryError("invalid", "definitionBody must be one expression, or one query for a table function.")
    statement.options["description"] = body.get("description") or None
    return statement


def list_routines(call: Call) -> dict[str, Any]:
    dataset = call.path["dataset"]
    with call.emulator.database.session() as db:
        call.emulator.metadata.dataset(db, dataset)
        found = call.emulator.metadata.routines(db, dataset)
    if wanted := call.query.get("filter"):
        kind = re.fullmatch(r"routineType:(\w+)", wanted.strip())
        if kind is None:
            raise BigQueryError("invalid", f"Invalid filter {wanted!r}: routineType:<type> is expected.")
        found = [each for each in found if each["routineType"] == kind[1]]
    shown, rest = page(found, call)
    mask = call.query.get("readMask")
    keys = (*_LISTED, *mask.split(",")) if mask else _LISTED
    return {"routines": [each if mask == "*" else {key: each[key] for key in keys if key in each} for each in shown],
            **rest}  # fmt: skip


def get(call: Call) -> dict[str, Any]:
    with call.emulator.database.session() as db:
        return call.emulator.metadata.routine(db, _ref(call))


def insert(call: Call) -> dict[str, Any]:
    given = call.body.get("routineReference") or {}
    name = given.get("routineId") or ""
    if not NAME.fullmatch(name):
        raise BigQueryError(
            "invalid", f'Invalid routine ID "{name}": a letter or underscore, then these and digits, at most 256.'
        )
    emulator = call.emulator
    ref = RoutineRef(emulator.project, call.path["dataset"], name)
    with emulator.database.session() as db:
        emulator.metadata.dataset(db, ref.dataset)
    statement = _statement(emulator, ref, call.body, replace=False)
    with emulator.locks.tables([engine.key(ref)]), emulator.database.transaction() as db:
        engine.create(db, emulator.metadata, statement)
        return emulator.metadata.routine(db, ref)


def update(call: Call) -> dict[str, Any]:
    emulator, ref = call.emulator, _ref(call)
    statement = _statement(emulator, ref, call.body, replace=True)
    with emulator.locks.tables([engine.key(ref)]), emulator.database.transaction() as db:
        before = emulator.metadata.routine(db, ref)
        call.check_etag(before["etag"])
        engine.create(db, emulator.metadata, statement)
        after = emulator.metadata.routine(db, ref)
        after["creationTime"] = before["creationTime"]
        emulator.metadata.save_routine(db, ref, after)
        return after


def delete(call: Call) -> None:
    emulator, ref = call.emulator, _ref(call)
    with emulator.locks.tables([engine.key(ref)]), emulator.database.transaction() as db:
        call.check_etag(emulator.metadata.routine(db, ref)["etag"])
        emulator.metadata.delete_routine(db, ref)


_ROUTINES = "/projects/{project}/datasets/{dataset}/routines"
ROUTES = (
    ("GET", _ROUTINES, list_routines),
    ("POST", _ROUTINES, insert),
    ("GET", _ROUTINES + "/{routine}", get),
    ("PUT", _ROUTINES + "/{routine}", update),
    ("DELETE", _ROUTINES + "/{routine}", delete),
)
