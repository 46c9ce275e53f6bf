"""INFORMATION_SCHEMA's views of functions (https://cloud.google.com/bigquery/docs/information-schema-routines)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import orjson

from bq_emulator.information_schema.source import Row, View, time, yes
from bq_emulator.information_schema.source import view as make
from bq_emulator.sql import routines

_TYPES = {"TABLE_VALUED_FUNCTION": "TABLE FUNCTION", "AGGREGATE_FUNCTION": "AGGREGATE FUNCTION"}


def _key(routine: Row, prefix: str) -> Row:
    ref = routine["routineReference"]
    values = ref["projectId"], ref["datasetId"], ref["routineId"]
    return {f"{prefix}_{part}": value for part, value in zip(("catalog", "schema", "name"), values, strict=True)}


def _type(resource: Row | None) -> str | None:
    return str(routines.from_standard(resource)) if resource else None


def _returned(routine: Row) -> str | None:
    if columns := (routine.get("returnTableType") or {}).get("columns"):
        return "TABLE<" + ", ".join(f"{each['name']} {_type(each['type'])}" for each in columns) + ">"
    return _type(routine.get("returnType"))


def _routines(found: Iterable[Row]) -> Iterator[Row]:
    for routine in found:
        ref = routine["routineReference"]
        path = f"`{ref['projectId']}`.{ref['datasetId']}.{ref['routineId']}"
        yield (
            _key(routine, "specific")
            | _key(routine, "routine")
            | {
                "routine_type": _TYPES.get(routine["routineType"], "FUNCTION"),
                "data_type": _returned(routine),
                "routine_body": "SQL",
                "routine_definition": routine["definitionBody"],
                "created": time(routine["creationTime"]),
                "last_altered": time(routine["lastModifiedTime"]),
                "ddl": routines.to_statement(path, routine) + ";",
            }
        )


def _parameters(found: Iterable[Row]) -> Iterator[Row]:
    for routine in found:
        given = [(each["name"], each) for each in routine["arguments"]]
        returned = _returned(routine)
        if returned:
            yield _key(routine, "specific") | {"ordinal_position": 0, "is_result": "YES", "data_type": returned}
        for position, (name, each) in enumerate(given, 1):
            yield _key(routine, "specific") | {
                "ordinal_position": position,
                "is_result": "NO",
                "parameter_name": name,
                "data_type": _type(each.get("dataType")) or "ANY TYPE",
                "is_aggregate": yes(each["isAggregate"]) if "isAggregate" in each else None,
            }


def _options(found: Iterable[Row]) -> Iterator[Row]:
    for routine in found:
        if routine.get("description"):
            value = orjson.dumps(routine["description"]).decode()
            option = {"option_name": "description", "option_type": "STRING", "option_value": value}
            yield _key(routine, "specific") | option


_KEY = "specific_catalog STRING, specific_schema STRING, specific_name STRING"


def _view(columns: str, rows: Callable[[Iterable[Row]], Iterator[Row]]) -> View:
    """``rows`` makes them of REST's Routines."""
    return make(columns, lambda source: rows(source.routines()))


VIEWS = {
    "ROUTINES": _view(
        f"{_KEY}, routine_catalog STRING, routine_schema STRING, routine_name STRING, routine_type STRING, "
        "data_type STRING, routine_body STRING, routine_definition STRING, external_language STRING, "
        "is_deterministic STRING, security_type STRING, created TIMESTAMP, last_altered TIMESTAMP, ddl STRING",
        _routines,
    ),
    "PARAMETERS": _view(
        f"{_KEY}, ordinal_position INT64, parameter_mode STRING, is_result STRING, parameter_name STRING, "
        "data_type STRING, parameter_default STRING, is_aggregate STRING",
        _parameters,
    ),
    "ROUTINE_OPTIONS": _view(f"{_KEY}, option_name STRING, option_type STRING, option_value STRING", _options),
}
