"""Creating and dropping SQL functions, inside the caller's transaction and under its lock."""

from __future__ import annotations

from typing import Any

from bq_emulator.duck import Session
from bq_emulator.locks import TableKey
from bq_emulator.metadata import Metadata, now_ms
from bq_emulator.model import BigQueryError, CreateFunction, DropFunction, RoutineRef

_OPTIONS = {"description": "description"}


def key(ref: RoutineRef) -> TableKey:
    """What locks a function; no table has such a name."""
    return ref.dataset, f"{ref.routine}()"


def create(db: Session, metadata: Metadata, statement: CreateFunction) -> str:
    """Carry out a CREATE of a lasting function; CREATE, REPLACE or SKIP tells what was done.

    Raises:
        BigQueryError: duplicate, notFound for the dataset, notImplemented for an option.
    """
    ref = statement.target
    if ref is None:
        raise TypeError(f"{statement.name} is temporary")
    metadata.dataset(db, ref.dataset)
    before = metadata.find_routine(db, ref)
    if before is not None and statement.if_not_exists:
        return "SKIP"
    if before is not None and not statement.or_replace:
        raise BigQueryError("duplicate", f"Already Exists: Routine {ref}")
    resource = {**statement.routine, "routineReference": reference(ref), "creationTime": str(now_ms())}
    for name, value in statement.options.items():
        if name not in _OPTIONS:
            raise BigQueryError("notImplemented", f"The function option {name} is not supported by this emulator.")
        if value is not None:
            resource[_OPTIONS[name]] = value
    metadata.save_routine(db, ref, resource)
    return "CREATE" if before is None else "REPLACE"


def drop(db: Session, metadata: Metadata, statement: DropFunction) -> str:
    """Carry out a DROP; DROP or SKIP tells what was done. Raises BigQueryError notFound, and invalidQuery for a
    function of the other kind."""
    before = metadata.find_routine(db, statement.target)
    if before is None:
        if statement.if_exists:
            return "SKIP"
        raise BigQueryError("notFound", f"Not found: Routine {statement.target}")
    if (before["routineType"] == "TABLE_VALUED_FUNCTION") != statement.is_table_function:
        raise BigQueryError(
            "invalidQuery", f"Cannot {statement.statement_type} {statement.target}: it is a {before['routineType']}."
        )
    metadata.delete_routine(db, statement.target)
    return "DROP"


def reference(ref: RoutineRef) -> dict[str, Any]:
    """REST's RoutineReference."""
    return {"projectId": ref.project, "datasetId": ref.dataset, "routineId": ref.routine}
