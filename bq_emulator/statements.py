"""Carrying out one translated statement, inside the caller's transaction and locks."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from bq_emulator import copies, grants, projected, routines
from bq_emulator import destination as destinations
from bq_emulator.alter import alter
from bq_emulator.destination import Destination
from bq_emulator.duck import Session
from bq_emulator.locks import TableKey
from bq_emulator.metadata import ANONYMOUS_DATASET, ANONYMOUS_LIFETIME_MS, DatasetRecord, TableRecord, display, now_ms
from bq_emulator.model import (
    AlterSchema,
    AlterTable,
    Assertion,
    BigQueryError,
    CopyTable,
    CreateFunction,
    CreateSchema,
    CreateTable,
    CreateView,
    Dml,
    DropFunction,
    DropSchema,
    DropTable,
    Grant,
    Query,
    RefreshMaterializedView,
    RoutineRef,
    Statement,
    TableRef,
)
from bq_emulator.options import apply_dataset_options, apply_table_options
from bq_emulator.tables import Tables, check_rows


@dataclass
class Outcome:
    """``statistics`` is (part of) REST's statistics.query; ``result`` holds a query's ``rows``, ``target`` is the table
    REST calls the job's destination. ``partitions`` are those in which rows were updated or deleted, if it is known."""

    statistics: dict[str, Any] = field(default_factory=dict)
    result: TableRecord | None = None
    rows: int | None = None
    target: TableRef | None = None
    partitions: set[str | None] | None = None


def table_keys(statement: Statement, destination: Destination | None) -> set[TableKey]:
    """The tables and datasets' records a statement changes."""
    keys = set()
    if isinstance(statement, CreateFunction | DropFunction):
        return {routines.key(statement.target)} if statement.target else set()
    if isinstance(
        statement, CreateTable | CopyTable | CreateView | DropTable | AlterTable | Dml | RefreshMaterializedView | Grant
    ):
        keys.add((statement.target.dataset, statement.target.table))
    if isinstance(statement, AlterTable):
        keys |= {(statement.target.dataset, a["name"]) for a in statement.actions if a["action"] == "rename_to"}
    if destination is not None:
        keys.add((destination.ref.dataset, destination.ref.table))
    if isinstance(statement, CreateSchema | AlterSchema):
        keys.add((statement.dataset, ""))
    return keys


def execute(db: Session, tables: Tables, statement: Statement, destination: Destination | None = None) -> Outcome:
    """``destination`` is where a query's rows go; without one they go to an anonymous table.

    Raises:
        BigQueryError: with the reasons of the statement.
    """
    if destination is not None and not isinstance(statement, Query):
        raise BigQueryError(
            "invalidQuery", f"Cannot set destination table in jobs with {statement.statement_type} statements", "query"
        )
    _check_project(tables, statement)
    if isinstance(statement, Query):
        return _query(db, tables, statement, destination)
    handler = _HANDLERS.get(type(statement))
    if handler is None:
        raise BigQueryError(
            "notImplemented", f"{statement.statement_type} statements are not supported by this emulator."
        )
    return handler(db, tables, statement)


def _check_project(tables: Tables, statement: Statement) -> None:
    target = getattr(statement, "target", None)
    project = target.project if target else getattr(statement, "project", tables.metadata.project)
    if project != tables.metadata.project:
        raise BigQueryError(
            "notFound", f"Not found: Project {project}; this emulator serves {tables.metadata.project}."
        )


def _query(db: Session, tables: Tables, query: Query, destination: Destination | None) -> Outcome:
    if destination is None:
        ref = TableRef(tables.metadata.project, ANONYMOUS_DATASET, f"anon{secrets.token_hex(16)}")
        record, rows = tables.keep_result(db, ref, query.schema, query.sql, now_ms() + ANONYMOUS_LIFETIME_MS)
    else:
        reads_it = any(scan.ref == destination.ref for scan in query.scans)
        with _apart(db, query.sql) if destination.empties and reads_it else nullcontext(query.sql) as source:
            record = destinations.prepare(db, tables, destination, query.schema, declared=False)
            rows = tables.insert(db, record, query.schema, source, destination.partition)
    return Outcome(result=record, rows=rows, target=record.ref)


@contextmanager
def _apart(db: Session, sql: str) -> Iterator[str]:
    """The rows of a query as they are now, whatever becomes of its tables: a query of them."""
    stage = f"_result_{secrets.token_hex(8)}"
    db.execute(f"CREATE TEMP TABLE {stage} AS {sql}")
    yield f"FROM {stage}"
    db.execute(f"DROP TABLE {stage}")


# DDL ------------------------------------------------------------------------------------------------------------------


def _create_function(db: Session, tables: Tables, statement: CreateFunction) -> Outcome:
    if statement.target is None:
        return Outcome()  # its script remembers it
    return _routine_ddl(statement.target, routines.create(db, tables.metadata, statement))


def _drop_function(db: Session, tables: Tables, statement: DropFunction) -> Outcome:
    return _routine_ddl(statement.target, routines.drop(db, tables.metadata, statement))


def _routine_ddl(target: RoutineRef, operation: str) -> Outcome:
    return Outcome({"ddlOperationPerformed": operation, "ddlTargetRoutine": routines.reference(target)})


def _ddl(target: TableRef, operation: str) -> Outcome:
    reference = {"projectId": target.project, "datasetId": target.dataset, "tableId": target.table}
    return Outcome({"ddlOperationPerformed": operation, "ddlTargetTable": reference}, target=target)


def _existing(db: Session, tables: Tables, ref: TableRef) -> TableRecord | None:
    return tables.metadata.find_table(db, ref.dataset, ref.table)


def _create_table(db: Session, tables: Tables, statement: CreateTable) -> Outcome:
    ref = statement.target
    exists = _existing(db, tables, ref) is not None
    if exists and statement.if_not_exists:
        return _ddl(ref, "SKIP")
    resource: dict[str, Any] = {}
    if statement.is_temporary:  # its script drops it; this is for a script that is killed
        resource["expirationTime"] = str(now_ms() + ANONYMOUS_LIFETIME_MS)
    if statement.time_partitioning:
        resource["timePartitioning"] = dict(statement.time_partitioning)
    if statement.range_partitioning:
        resource["rangePartitioning"] = statement.range_partitioning
    if statement.clustering:
        resource["clustering"] = {"fields": list(statement.clustering)}
    constraints: dict[str, Any] = {}
    if statement.primary_key:
        constraints["primaryKey"] = {"columns": list(statement.primary_key)}
    if statement.foreign_keys:
        # The client library takes it for granted that each has a name.
        constraints["foreignKeys"] = [
            {"name": f"fk${number}", **key} for number, key in enumerate(statement.foreign_keys, 1)
        ]
    if constraints:
        resource["tableConstraints"] = constraints
    apply_table_options(resource, statement.options)
    make = tables.replace if statement.or_replace else tables.create
    record = make(db, ref, statement.schema, resource)
    if statement.query is not None and not projected.keep(db, tables, record, statement.query):
        tables.insert(db, record, statement.schema, statement.query.sql)
    return _ddl(ref, "REPLACE" if exists else "CREATE")


def _create_view(db: Session, tables: Tables, statement: CreateView) -> Outcome:
    ref = statement.target
    exists = _existing(db, tables, ref) is not None
    if exists and statement.if_not_exists:
        return _ddl(ref, "SKIP")
    if statement.is_materialized:
        kind = "MATERIALIZED_VIEW"
        resource: dict[str, Any] = {"materializedView": {"query": statement.view_query}}
    else:
        kind = "VIEW"
        resource = {"view": {"query": statement.view_query, "useLegacySql": False}}
    if statement.time_partitioning:
        resource["timePartitioning"] = dict(statement.time_partitioning)
    if statement.range_partitioning:
        resource["rangePartitioning"] = statement.range_partitioning
    if statement.clustering:
        resource["clustering"] = {"fields": list(statement.clustering)}
    apply_table_options(resource, statement.options)
    make = tables.replace if statement.or_replace else tables.create
    make(db, ref, statement.schema, resource, kind)
    return _ddl(ref, "REPLACE" if exists else "CREATE")


def _copy_table(db: Session, tables: Tables, statement: CopyTable) -> Outcome:
    exists = _existing(db, tables, statement.target) is not None
    if exists and statement.if_not_exists:
        return _ddl(statement.target, "SKIP")
    copies.copy(db, tables, statement)
    return _ddl(statement.target, "REPLACE" if exists else "CREATE")


def _grant(db: Session, tables: Tables, statement: Grant) -> Outcome:
    grants.carry_out(db, tables, statement)
    return Outcome()


def _alter_schema(db: Session, tables: Tables, statement: AlterSchema) -> Outcome:
    record = tables.metadata.find_dataset(db, statement.dataset)
    if record is None:
        if statement.if_exists:
            return Outcome({"ddlOperationPerformed": "SKIP"})
        raise BigQueryError("notFound", f"Not found: Dataset {statement.project}:{statement.dataset}")
    apply_dataset_options(record.resource, statement.options)
    tables.metadata.save_dataset(db, record)
    return Outcome({"ddlOperationPerformed": "ALTER"})


def _refresh(db: Session, tables: Tables, statement: RefreshMaterializedView) -> Outcome:
    """Materialized views are evaluated when they are read, so there is nothing to compute."""
    record = tables.metadata.table(db, statement.target.dataset, statement.target.table)
    if record.kind != "MATERIALIZED_VIEW":
        raise BigQueryError("invalidQuery", f"{record} is not a materialized view: it is a {record.kind}.", "query")
    record.resource["materializedView"]["lastRefreshTime"] = str(now_ms())
    tables.metadata.save_table(db, record)
    return Outcome(target=record.ref)


def _drop_table(db: Session, tables: Tables, statement: DropTable) -> Outcome:
    record = _existing(db, tables, statement.target)
    if record is None:
        if statement.if_exists:
            return _ddl(statement.target, "SKIP")
        record = tables.metadata.table(db, statement.target.dataset, statement.target.table)
    if record.kind != statement.kind:
        raise BigQueryError(
            "invalidQuery",
            f"{display(record.ref)} is not allowed for this operation because it is currently a {record.kind}.",
            "query",
        )
    tables.drop(db, record)
    return _ddl(statement.target, "DROP")


def _create_schema(db: Session, tables: Tables, statement: CreateSchema) -> Outcome:
    if tables.metadata.find_dataset(db, statement.dataset):
        if statement.if_not_exists:
            return Outcome({"ddlOperationPerformed": "SKIP"})
        raise BigQueryError("duplicate", f"Already Exists: Dataset {statement.project}:{statement.dataset}")
    resource: dict[str, Any] = {"creationTime": str(now_ms()), "location": tables.metadata.location}
    apply_dataset_options(resource, statement.options)
    tables.metadata.save_dataset(db, DatasetRecord(statement.project, statement.dataset, resource))
    return Outcome({"ddlOperationPerformed": "CREATE"})


def _drop_schema(db: Session, tables: Tables, statement: DropSchema) -> Outcome:
    if tables.metadata.find_dataset(db, statement.dataset) is None:
        if statement.if_exists:
            return Outcome({"ddlOperationPerformed": "SKIP"})
        raise BigQueryError("notFound", f"Not found: Dataset {statement.project}:{statement.dataset}")
    drop_dataset(db, tables, statement.dataset, statement.cascade)
    return Outcome({"ddlOperationPerformed": "DROP"})


def drop_dataset(db: Session, tables: Tables, dataset: str, with_contents: bool) -> None:
    """Raises BigQueryError resourceInUse for a dataset that still holds tables or functions."""
    contents = tables.metadata.tables(db, dataset)
    if (contents or tables.metadata.routines(db, dataset)) and not with_contents:
        raise BigQueryError("resourceInUse", f"Dataset {tables.metadata.project}:{dataset} is still in use")
    expired = [record for record in tables.metadata.expired_tables(db) if record.ref.dataset == dataset]
    for record in contents + expired:
        tables.drop(db, record)
    tables.metadata.delete_dataset(db, dataset)


def _alter(db: Session, tables: Tables, statement: AlterTable) -> Outcome:
    record = _existing(db, tables, statement.target)
    if record is None:
        if statement.if_exists:
            return _ddl(statement.target, "SKIP")
        record = tables.metadata.table(db, statement.target.dataset, statement.target.table)
    alter(db, tables, record, statement)
    return _ddl(statement.target, "ALTER")


# DML ------------------------------------------------------------------------------------------------------------------

_COUNTERS = {"insert": "insertedRowCount", "update": "updatedRowCount", "delete": "deletedRowCount"}


def _dml(db: Session, tables: Tables, statement: Dml) -> Outcome:
    record = tables.metadata.table(db, statement.target.dataset, statement.target.table)
    if record.kind != "TABLE":
        raise BigQueryError("invalidQuery", f"Cannot modify {record}: it is a {record.kind}, not a table.", "query")
    # The statement was translated for the files of a table that is kept in them.
    if moved := tables.own(db, record):
        steps = tuple((role, *(sql.replace(*moved) for sql in texts)) for role, *texts in statement.steps)
        statement = replace(statement, steps=steps, changed=statement.changed and statement.changed.replace(*moved))
    counts = dict.fromkeys(_COUNTERS, 0)
    first = [role in _COUNTERS for role, *_ in statement.steps].index(True)
    _run(db, statement.steps[:first], counts)
    in_place = any(role == "update" and not more for role, _, *more in statement.steps)
    changed = statement.changed
    with tables.changing(db, record, changed, in_place=in_place) if changed else nullcontext() as changing:
        # Nothing is inserted after the only step of an INSERT, unless a script goes on.
        is_last = not changed and not db.goes_on
        steps = tuple(step[:2] for step in statement.steps) if is_last else statement.steps[first:]
        _run(db, steps, counts, few=changing is not None and changing.few)
        if counts["insert"] or counts["update"]:
            tables.enforce(db, record)
        rows = int(record.resource["numRows"]) + counts["insert"] - counts["delete"]
        tables.touch(db, record, None if counts["update"] or counts["delete"] else counts["insert"], rows)
    statistics: dict[str, Any] = {"dmlStats": {_COUNTERS[role]: str(count) for role, count in counts.items()}}
    statistics["numDmlAffectedRows"] = str(sum(counts.values()))
    return Outcome(statistics, target=record.ref, partitions=changing.partitions if changing else None)


def _run(db: Session, steps: Iterable[tuple[str, ...]], counts: dict[str, int], few: bool = False) -> None:
    """``few``: the rows to be changed are few of the table's."""
    for role, sql, *more in steps:
        if role == "check":
            check_rows(db, (sql,))
        elif role == "run":
            db.execute(sql).fetchall()
        elif more and not db.scalar(more[0]):
            continue
        elif few and len(more) == 3:
            _, insert, delete = more
            counts[role] += db.change(insert)
            db.execute(delete)
        else:
            counts[role] += db.change(sql)


def _assert(db: Session, tables: Tables, statement: Assertion) -> Outcome:
    if db.scalar(f"SELECT {statement.sql}") is not True:
        message = f"Assertion failed: {statement.description}" if statement.description else "Assertion failed"
        raise BigQueryError("invalidQuery", message, "query")
    return Outcome()


_HANDLERS: dict[type[Statement], Callable[..., Outcome]] = {
    CreateTable: _create_table,
    CopyTable: _copy_table,
    Grant: _grant,
    AlterSchema: _alter_schema,
    RefreshMaterializedView: _refresh,
    CreateView: _create_view,
    DropTable: _drop_table,
    AlterTable: _alter,
    CreateSchema: _create_schema,
    DropSchema: _drop_schema,
    Dml: _dml,
    Assertion: _assert,
    CreateFunction: _create_function,
    DropFunction: _drop_function,
}
