"""What the REST surface, the SQL front end and the storage engine say to each other."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

#: Canonical BigQuery type names, as the SQL dialect writes them. REST's legacy names (INTEGER, FLOAT, BOOLEAN, RECORD)
#: are translated at the edge.
TYPES = (
    "INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC", "STRING", "BYTES", "BOOL", "DATE", "DATETIME", "TIME", "TIMESTAMP",
    "INTERVAL", "JSON", "STRUCT",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One column, or one field of a STRUCT. ``mode`` is NULLABLE, REQUIRED or REPEATED (an ARRAY of ``type``)."""

    name: str
    type: str
    mode: str = "NULLABLE"
    fields: tuple[Field, ...] = ()
    description: str | None = None
    precision: int | None = None
    scale: int | None = None
    max_length: int | None = None
    default_expression: str | None = None


@dataclass(frozen=True)
class TableRef:
    """A fully qualified name. For INFORMATION_SCHEMA views ``table`` is, for example, ``INFORMATION_SCHEMA.COLUMNS``
    and ``dataset`` is the dataset or the region qualifier (``region-us``)."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"


@dataclass(frozen=True)
class RoutineRef:
    """The full name of a function."""

    project: str
    dataset: str
    routine: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.routine}"


@dataclass(frozen=True)
class PartitionKey:
    """What decides the partition of a row: the value of any of ``columns`` (name, DuckDB text). ``exact``: all rows of
    a partition share it. ``filter_required``: the names in Google's message, if REST's requirePartitionFilter is set.
    """

    columns: tuple[tuple[str, str], ...]
    exact: bool
    filter_required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scan:
    """What one mention of a table reads of it. ``columns`` are those referenced, ``a.b`` for a field of a STRUCT, and
    all if the statement ``rewrites`` rows. ``conditions`` are DuckDB texts over ``"@low"`` and ``"@high"``, the least
    and greatest partition value of a partition, true of partitions that must be read. ``unfiltered`` names the columns
    of which the table requires a filter that is not there."""

    ref: TableRef
    columns: frozenset[str]
    conditions: tuple[str, ...] = ()
    rewrites: bool = False
    unfiltered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table, a view or a virtual (INFORMATION_SCHEMA) table as the front end sees it."""

    ref: TableRef
    kind: str  # TABLE, VIEW, MATERIALIZED_VIEW
    schema: tuple[Field, ...]
    #: DuckDB text to put into a FROM clause: a quoted name, or a parenthesised subquery for a virtual table.
    physical: str
    #: GoogleSQL text of a view; the front end translates it in place wherever the view is read.
    view_query: str | None = None
    #: Columns that only their name brings to light, each with its DuckDB text.
    pseudo_columns: tuple[tuple[Field, str], ...] = ()
    partition: PartitionKey | None = None

    def field(self, name: str) -> Field:
        """The column or pseudo column called ``name``; column names are case-insensitive."""
        fields = (*self.schema, *(field for field, _ in self.pseudo_columns))
        return next(field for field in fields if field.name.lower() == name.lower())

    def column_text(self, index: int) -> str:
        """DuckDB text of the column the analyzer knows by ``index``: columns first, then pseudo columns."""
        if index < len(self.schema):
            return '"' + self.schema[index].name.replace('"', '""') + '"'
        return self.pseudo_columns[index - len(self.schema)][1]


class Catalog(Protocol):
    """The engine's side of name resolution, called by the front end."""

    def expect(self, refs: Collection[TableRef]) -> None:
        """These tables will be asked for."""

    def get_table(self, ref: TableRef) -> Table | None: ...

    def has_dataset(self, project: str, dataset: str) -> bool: ...

    def get_routine(self, ref: RoutineRef) -> dict[str, Any] | None:
        """REST's Routine."""


class BigQueryError(Exception):
    """An error with BigQuery's own reason; REST renders it, jobs store it.

    ``reason`` is one of BigQuery's (invalidQuery, notFound, duplicate, invalid, notImplemented, resourceInUse, …),
    or emulatorError;
    ``location`` names the part at fault where Google gives one ("query" for SQL).
    ``causes`` are what a job's errors[] collection tells beside the error itself.
    """

    STATUS: ClassVar[dict[str, int]] = {
        "invalid": 400,
        "invalidQuery": 400,
        "required": 400,
        "resourceInUse": 400,
        "stopped": 200,
        "accessDenied": 403,
        "notFound": 404,
        "duplicate": 409,
        "conditionNotMet": 412,
        "emulatorError": 500,  # a fault of the emulator; clients would repeat an internalError for minutes
        "notImplemented": 501,
        "backendError": 503,
    }

    def __init__(self, reason: str, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.location = location
        self.causes: tuple[BigQueryError, ...] = ()

    @property
    def status(self) -> int:
        return self.STATUS.get(self.reason, 400)


# ---------------------------------------------------------------------------------------------------------------------
# Statements: what the front end makes of GoogleSQL text and the engine carries out.
# ``sql`` is always DuckDB text whose table names are the physical names of ``Table``.
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Statement:
    """``statement_type`` is REST's statistics.query.statementType (SELECT, CREATE_TABLE_AS_SELECT, MERGE, …)."""

    statement_type: str
    referenced_tables: tuple[TableRef, ...] = field(default=(), kw_only=True)
    referenced_routines: tuple[RoutineRef, ...] = field(default=(), kw_only=True)
    scans: tuple[Scan, ...] = field(default=(), kw_only=True)


#: Stands for GENERATE_UUID() among a :class:`Projection`'s columns.
GENERATED = "GENERATE_UUID()"


@dataclass(frozen=True)
class Projection:
    """Each row of the query is made of one row of ``table``, and there is one for each. ``columns`` are the query's:
    the DuckDB text of the table's column that it is, :data:`GENERATED`, or None for one that is computed otherwise."""

    table: TableRef
    columns: tuple[str | None, ...]


@dataclass(frozen=True)
class Query(Statement):
    """A query; the i-th output column of ``sql`` is the i-th field of ``schema`` (names unique within it)."""

    sql: str
    schema: tuple[Field, ...]
    projection: Projection | None = None


@dataclass(frozen=True)
class Expression(Statement):
    """A value that a script computes for itself."""

    sql: str


@dataclass(frozen=True)
class Assertion(Statement):
    """ASSERT: fails unless ``sql`` gives true."""

    sql: str
    description: str


@dataclass(frozen=True)
class CreateFunction(Statement):
    """CREATE FUNCTION, AGGREGATE FUNCTION or TABLE FUNCTION in SQL. ``target`` is None for a temporary one;
    ``routine`` is REST's Routine without what tells where and when it was made."""

    name: str
    target: RoutineRef | None
    routine: dict[str, Any]
    or_replace: bool = False
    if_not_exists: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DropFunction(Statement):
    """DROP FUNCTION or DROP TABLE FUNCTION."""

    target: RoutineRef
    is_table_function: bool
    if_exists: bool


@dataclass(frozen=True)
class CreateTable(Statement):
    """CREATE TABLE, with ``query`` for AS SELECT (column order = ``schema``)."""

    target: TableRef
    schema: tuple[Field, ...]
    query: Query | None
    or_replace: bool
    if_not_exists: bool
    is_temporary: bool
    time_partitioning: dict[str, Any] | None  # as REST: {"type": "DAY", "field": …}
    range_partitioning: dict[str, Any] | None  # as REST
    clustering: tuple[str, ...]
    options: dict[str, Any]  # evaluated OPTIONS(...)
    primary_key: tuple[str, ...]
    foreign_keys: tuple[dict[str, Any], ...]  # as REST's tableConstraints.foreignKeys


@dataclass(frozen=True)
class CreateView(Statement):
    target: TableRef
    schema: tuple[Field, ...]
    view_query: str  # GoogleSQL
    or_replace: bool
    if_not_exists: bool
    is_materialized: bool
    options: dict[str, Any]
    time_partitioning: dict[str, Any] | None = None  # as REST; of materialized views only
    range_partitioning: dict[str, Any] | None = None
    clustering: tuple[str, ...] = ()


@dataclass(frozen=True)
class CopyTable(Statement):
    """CREATE TABLE … CLONE, COPY or LIKE, and CREATE SNAPSHOT TABLE; ``mode`` is CLONE, COPY, LIKE or SNAPSHOT."""

    target: TableRef
    source: TableRef
    mode: str
    or_replace: bool
    if_not_exists: bool
    options: dict[str, Any]


@dataclass(frozen=True)
class Grant(Statement):
    """GRANT or REVOKE (``revoke``) of ``roles`` for ``members`` (``user:a@b.c``, ``group:…``, …) on a table or view, or
    on a dataset (``target.table`` is empty)."""

    target: TableRef
    object_type: str  # SCHEMA, TABLE, VIEW, MATERIALIZED VIEW
    roles: tuple[str, ...]
    members: tuple[str, ...]
    revoke: bool


@dataclass(frozen=True)
class AlterSchema(Statement):
    """ALTER SCHEMA … SET OPTIONS."""

    project: str
    dataset: str
    if_exists: bool
    options: dict[str, Any]


@dataclass(frozen=True)
class RefreshMaterializedView(Statement):
    """CALL BQ.REFRESH_MATERIALIZED_VIEW."""

    target: TableRef


@dataclass(frozen=True)
class CreateSchema(Statement):
    project: str
    dataset: str
    or_replace: bool
    if_not_exists: bool
    options: dict[str, Any]


@dataclass(frozen=True)
class DropSchema(Statement):
    project: str
    dataset: str
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class DropTable(Statement):
    """DROP TABLE / VIEW / MATERIALIZED VIEW; ``kind`` as in :class:`Table`."""

    target: TableRef
    kind: str
    if_exists: bool


@dataclass(frozen=True)
class AlterTable(Statement):
    """ALTER TABLE / VIEW. ``actions`` in order; each is one of::

    {"action": "add_column", "field": Field, "if_not_exists": bool}
    {"action": "drop_column", "name": str, "if_exists": bool}
    {"action": "rename_column", "old": str, "new": str, "if_exists": bool}
    {"action": "alter_column_type", "name": str, "field": Field}
    {"action": "drop_not_null", "name": str}
    {"action": "set_column_options", "name": str, "options": dict}
    {"action": "set_options", "options": dict}
    {"action": "rename_to", "name": str}
    {"action": "set_default", "name": str, "expression": str}  # GoogleSQL
    {"action": "drop_default", "name": str}
    {"action": "add_primary_key", "columns": tuple[str, ...], "if_not_exists": bool}
    {"action": "drop_primary_key", "if_exists": bool}
    {"action": "add_foreign_key", "key": dict}  # as REST's tableConstraints.foreignKeys
    {"action": "drop_constraint", "name": str, "if_exists": bool}
    """

    target: TableRef
    if_exists: bool
    actions: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Dml(Statement):
    """INSERT, UPDATE, DELETE, MERGE or TRUNCATE on one table.

    The engine runs ``steps`` in one transaction, in order. Each step is ``(role, sql)``: the affected-row counts of
    the steps with role insert, update and delete add up to the job's dmlStats; role ``run`` counts nothing; a step
    with role ``check`` must return no row, else the job fails with the text in its first column (used, for example,
    where MERGE matches one target row more than once). An ``insert`` or ``update`` may have a query that gives a row if
    there is anything to do, and an ``update`` two more texts, an INSERT and a DELETE, which together do the same,
    faster where few of many rows are updated.

    An INSERT of no rows is left out: DuckDB 2.0.0 loses sight of a row group that the same transaction then inserts
    into the same table, until its file is opened again.
    """

    target: TableRef
    steps: tuple[tuple[str, ...], ...]
    #: A query for the row ids of what is to be updated or deleted, as long as no step has changed a row.
    changed: str | None = None
