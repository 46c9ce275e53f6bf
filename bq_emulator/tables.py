"""Creating, changing, writing and dropping tables: the records of :mod:`metadata` and DuckDB's tables in step.

Every function works inside the caller's transaction, under the caller's lock on the table.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bq_emulator.duck import Database, Session, identifier
from bq_emulator.kept import is_kept
from bq_emulator.metadata import REWRITTEN, Metadata, TableRecord, display, new_etag, now_ms
from bq_emulator.model import BigQueryError, Field, TableRef
from bq_emulator.names import check_column_name
from bq_emulator.partitions import PARTITION_TIME, Partitioning, by_ingestion_time
from bq_emulator.schema import Schema, column_definitions, duckdb_type, find, schema_to_rest
from bq_emulator.sizes import ROWS, Sizes
from bq_emulator.stored import converted, stored_value

#: Kinds of tables that hold rows of their own.
STORED_KINDS = ("TABLE", "SNAPSHOT")

#: Key of a table's record under which :mod:`grants` keeps its policy.
POLICY = "iamPolicy"
#: Storing a row anew takes DuckDB twenty times as long as reading one, and later it makes room of what was deleted.
_MANY = 50


@dataclass(frozen=True)
class Changing:
    """Rows that are about to be updated or deleted: the ``partitions`` they are in, {None} for a table without
    partitions, and whether they are ``few`` of the table's."""

    partitions: set[str | None]
    few: bool


class Tables:
    def __init__(self, database: Database, metadata: Metadata, translate_default: Callable[[Field], str]) -> None:
        self._database = database
        self.metadata = metadata
        #: DuckDB text of a column's default value, by the SQL front end.
        self.translate_default = translate_default
        self.sizes = Sizes(self._committed)

    @contextmanager
    def _committed(self, ref: TableRef) -> Iterator[tuple[Session, TableRecord | None]]:
        with self._database.transaction() as db:
            yield db, self.metadata.find_table(db, ref.dataset, ref.table)

    # Creating and dropping ------------------------------------------------------------------------------------------

    def create(
        self, db: Session, ref: TableRef, schema: Schema, resource: dict[str, Any], kind: str = "TABLE"
    ) -> TableRecord:
        """A new, empty table or a view. ``resource`` holds REST's other properties of it.

        Raises:
            BigQueryError: notFound for the dataset, duplicate for the table.
        """
        if self.metadata.find_table(db, ref.dataset, ref.table):
            raise BigQueryError("duplicate", f"Already Exists: Table {display(ref)}")
        if expired := self.metadata.expired_table(db, ref):
            self.drop(db, expired)
        self._check_columns(ref, schema, resource)
        return self._write_new(db, ref, schema, self._with_defaults(db, ref, resource, kind), kind)

    def keep_result(
        self, db: Session, ref: TableRef, schema: Schema, source: str, expires_ms: int
    ) -> tuple[TableRecord, int]:
        """A new table, under a name that nobody else can know, of the rows of the DuckDB query ``source``; and their
        number. Its record is written once, with the rows."""
        _check_names(schema)
        resource = {
            "creationTime": str(now_ms()),
            "expirationTime": str(expires_ms),
            "numRows": "0",
            "schema": schema_to_rest(schema),
        }
        record = TableRecord(ref, "TABLE", self._create_physical(db, ref, schema, resource), resource)
        self.metadata.expect_new(db, ref)
        return record, self.insert(db, record, schema, source)

    def replace(
        self, db: Session, ref: TableRef, schema: Schema, resource: dict[str, Any], kind: str = "TABLE"
    ) -> TableRecord:
        """As :meth:`create`, in the place of a table or view that may exist; running queries still read the old one."""
        if old := self.metadata.find_table(db, ref.dataset, ref.table):
            if old.kind != kind:
                raise BigQueryError(
                    "invalidQuery",
                    f"{display(ref)} is not allowed for this operation because it is currently a {old.kind}.",
                    "query",
                )
            self._check_same_layout(old, resource)
            self.drop(db, old)
            # What was granted on a table stays granted on the one that takes its place.
            if POLICY in old.resource:
                resource = {POLICY: old.resource[POLICY], **resource}
        return self.create(db, ref, schema, resource, kind)

    def _check_same_layout(self, old: TableRecord, resource: dict[str, Any]) -> None:
        """https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language: a table is not
        replaced by one that is partitioned or clustered otherwise."""

        def essence(layout: dict[str, Any]) -> list[Any]:
            return [
                {**(layout.get("timePartitioning") or {}), "expirationMs": None, "requirePartitionFilter": None},
                layout.get("rangePartitioning"),
            ]

        if old.kind == "TABLE" and essence(old.resource) != essence(resource):
            raise BigQueryError(
                "invalidQuery",
                "Cannot replace a table with a different partitioning spec. Instead, DROP the table, and then recreate "
                "it. New partitioning spec is "
                f"{_spec(resource)} and existing spec is {_spec(old.resource)}",
                "query",
            )
        before, after = ((r.get("clustering") or {}).get("fields") for r in (old.resource, resource))
        if old.kind == "TABLE" and before != after:
            raise BigQueryError(
                "invalidQuery",
                "Cannot replace a table with a different clustering spec. Instead, DROP the table, and then recreate "
                f"it. New clustering spec is {_clustering(after)} and existing spec is {_clustering(before)}",
                "query",
            )

    def _with_defaults(self, db: Session, ref: TableRef, resource: dict[str, Any], kind: str) -> dict[str, Any]:
        resource = {"creationTime": str(now_ms()), **resource}
        if ref.dataset.startswith("_"):
            return resource
        dataset = self.metadata.dataset(db, ref.dataset).resource
        partitions = dataset.get("defaultPartitionExpirationMs")
        if partitions and "timePartitioning" in resource and kind == "TABLE":
            # It goes before the tables' expiration.
            resource["timePartitioning"] = {"expirationMs": partitions, **resource["timePartitioning"]}
            return resource
        lifetime = dataset.get("defaultTableExpirationMs")
        if lifetime and "expirationTime" not in resource:
            resource["expirationTime"] = str(now_ms() + int(lifetime))
        return resource

    def _write_new(
        self, db: Session, ref: TableRef, schema: Schema, resource: dict[str, Any], kind: str
    ) -> TableRecord:
        physical = None
        if kind in STORED_KINDS:
            resource = {**resource, "numRows": "0"}
            # BigQuery has tables without columns; DuckDB has not. Such a table gets its store with its schema.
            physical = self._create_physical(db, ref, schema, resource) if schema else None
        record = TableRecord(ref, kind, physical, {**resource, "schema": schema_to_rest(schema)})
        self.touch(db, record, added=0)
        return record

    def _create_physical(self, db: Session, ref: TableRef, schema: Schema, resource: dict[str, Any]) -> str:
        # DuckDB's names are case-insensitive and BigQuery's table names are not, hence the suffix.
        physical = "__data." + identifier(f"{ref.dataset}.{ref.table}.{secrets.token_hex(6)}")
        columns = column_definitions(schema, self._defaults(schema))
        if by_ingestion_time(resource) and (partitioning := Partitioning.of(resource, schema)):
            columns += f", {partitioning.text} TIMESTAMPTZ DEFAULT {partitioning.current_time()}"
        db.execute(f"CREATE TABLE {physical} ({columns})")
        return physical

    def _check_columns(self, ref: TableRef, schema: Schema, resource: dict[str, Any]) -> None:
        """What partitioning, clustering and keys name must be columns."""
        _check_names(schema)
        partitioning = resource.get("timePartitioning")
        if partitioning:
            column = partitioning.get("field")
            field = find(schema, column) if column else PARTITION_TIME
            if field is None:
                raise BigQueryError(
                    "invalid", f"The field specified for partitioning cannot be found in the schema: {column}"
                )
            if field.type not in ("DATE", "DATETIME", "TIMESTAMP") or field.mode == "REPEATED":
                raise BigQueryError(
                    "invalid", f"The field specified for time partitioning has type {field.type}: {column}"
                )
        if ranges := resource.get("rangePartitioning"):
            field = find(schema, ranges.get("field", ""))
            if field is None or field.type != "INT64":
                raise BigQueryError(
                    "invalid", f"The field for range partitioning must be an INT64 column: {ranges.get('field')}"
                )
        for column in (resource.get("clustering") or {}).get("fields") or ():
            if find(schema, column) is None:
                raise BigQueryError(
                    "invalid", f"The field specified for clustering cannot be found in the schema: {column}"
                )
        keys = resource.get("tableConstraints") or {}
        for column in (keys.get("primaryKey") or {}).get("columns") or ():
            if find(schema, column) is None:
                raise BigQueryError("invalid", f"The primary key names a column that is not in the schema: {column}")

    def drop(self, db: Session, record: TableRecord) -> None:
        if record.physical and not is_kept(record.physical):
            # Its successor may be filled from it.
            db.defer(f"DROP TABLE {record.physical}")
        self.metadata.delete_table(db, record)

    # Changing ---------------------------------------------------------------------------------------------------------

    def set_schema(
        self, db: Session, record: TableRecord, schema: Schema, sources: dict[str, str] | None = None
    ) -> None:
        """Give the table ``schema`` and keep its rows. ``sources`` maps a new column's name to the old column it comes
        from where they differ; columns that come from nowhere are NULL (or empty)."""
        old = record.schema
        self._check_columns(record.ref, schema, record.resource)
        record.resource["schema"] = schema_to_rest(schema)
        if record.kind not in STORED_KINDS or [_stored(f) for f in old] == [_stored(f) for f in schema]:
            self.touch(db, record, added=0)
            return
        self.own(db, record)
        previous = record.physical
        kept = schema[: len(old)]
        if previous and not sources and [_stored(f) for f in kept] == [_stored(f) for f in old]:
            for field in schema[len(old) :]:
                # Rows that are there get no default value, only those that come.
                empty = " DEFAULT []" if field.mode == "REPEATED" else ""
                name = identifier(field.name)
                db.execute(f"ALTER TABLE {previous} ADD COLUMN {name} {duckdb_type(field)}{empty}")
                for text in self._defaults((field,)).values():
                    db.execute(f"ALTER TABLE {previous} ALTER COLUMN {name} SET DEFAULT {text}")
        else:
            record.physical = self._create_physical(db, record.ref, schema, record.resource)
            if previous:
                expressions = [
                    self._carried(old, field, (sources or {}).get(field.name, field.name)) for field in schema
                ]
                if by_ingestion_time(record.resource):
                    expressions.append(identifier(PARTITION_TIME.name))
                if int(record.resource.get("numRows", 0)):  # as in insert(), which may be next
                    db.execute(f"INSERT INTO {record.physical} SELECT {', '.join(expressions)} FROM {previous}")
                db.execute(f"DROP TABLE {previous}")
        self.touch(db, record)

    def _carried(self, old: Schema, field: Field, source: str) -> str:
        match = find(old, source)
        if match is None:
            return stored_value(field, f"CAST(NULL AS {duckdb_type(field)})")
        return stored_value(field, converted(match, field, identifier(match.name)))

    def touch(self, db: Session, record: TableRecord, added: int | None = None, rows: int | None = None) -> None:
        """Record that the table changed: row count, modification time, etag. Rows of expired partitions go.

        ``added`` is the number of rows that came in, if those that were there are as they were; otherwise ``rows`` is
        the number there is now, if it is known.
        """
        if record.kind in STORED_KINDS:
            if record.physical and record.partitioning and (expired := record.partitioning.expired(now_ms())):
                self.own(db, record)
                if db.change(f"DELETE FROM {record.physical} WHERE {expired}"):
                    added = rows = None
            if added is not None:
                rows = int(record.resource.get("numRows", 0)) + added
            else:
                record.resource[REWRITTEN] = new_etag()
                if rows is None:
                    rows = db.scalar(f"SELECT count(*) FROM {record.physical}") if record.physical else 0
            record.resource["numRows"] = str(rows)
        self.metadata.save_table(db, record)

    def has_expired_rows(self, db: Session, record: TableRecord) -> bool:
        """Whether partitions have expired since the table was changed."""
        expired = record.partitioning.expired(now_ms()) if record.partitioning else None
        return bool(expired) and db.one(f"SELECT 1 FROM {record.physical} WHERE {expired} LIMIT 1") is not None

    # Writing ----------------------------------------------------------------------------------------------------------

    def insert(
        self, db: Session, record: TableRecord, columns: Schema, source: str, partition: str | None = None
    ) -> int:
        """Append the rows of the DuckDB query ``source``, whose i-th column goes to the column named as ``columns[i]``;
        all of them belong to ``partition``, if one is given. Returns the number of rows.

        Raises:
            BigQueryError: invalid for rows of another partition.
        """
        self.own(db, record)
        targets = []
        for given in columns:
            field = find(record.stored_schema, given.name)
            if field is None:
                raise BigQueryError("emulatorError", f"{record} has no column {given.name} to write to.")
            targets.append(field)
        names = ", ".join(identifier(field.name) for field in targets)
        places = [f"c{number}" for number in range(len(targets))]
        values = [stored_value(field, place) for field, place in zip(targets, places, strict=True)]
        if values != places:
            source = f"SELECT {', '.join(values)} FROM ({source}) AS source({', '.join(places)})"
        partitioning = record.partitioning if partition else None
        if partition and partitioning and by_ingestion_time(record.resource):
            names += f", {partitioning.text}"
            source = f"SELECT *, {partitioning.partition_time(partition)} FROM ({source})"
            partitioning = None
        before = self.count(db, record, partition) if partitioning else 0
        # After an INSERT of no rows DuckDB 2.0.0 loses sight of a row group that the transaction inserts next.
        is_empty = db.goes_on and not db.scalar(f"SELECT true FROM ({source}) LIMIT 1")
        count = 0 if is_empty else db.change(f"INSERT INTO {record.physical} ({names}) {source}")
        if partitioning and self.count(db, record, partition) - before != count:
            raise BigQueryError(
                "invalid", f"Some rows belong to different partitions rather than destination partition {partition}"
            )
        self.touch(db, record, added=count)
        return count

    def attach(self, db: Session, record: TableRecord, physical: str, part: str) -> int:
        """Give the table ``physical``, which is what it has and ``part``, a query of a file. Returns that file's rows;
        fails if anything in it cannot be read."""
        measured = self.sizes.attached(db, record, physical, part)
        self.adopt(db, record, physical, measured[ROWS])
        return measured[ROWS]

    def adopt(self, db: Session, record: TableRecord, physical: str, added: int) -> None:
        """Give the table ``physical``, a query of files with its rows and ``added`` more."""
        if record.physical and not is_kept(record.physical):
            db.execute(f"DROP TABLE {record.physical}")
        record.physical = physical
        self.touch(db, record, added=added)

    def own(self, db: Session, record: TableRecord) -> tuple[str, str] | None:
        """Give a table whose rows are kept in files a store of its own, to be changed; what it had, and has now."""
        if record.physical is None or not is_kept(record.physical):
            return None
        before = record.physical
        record.physical = self._create_physical(db, record.ref, record.schema, record.resource)
        db.execute(f"INSERT INTO {record.physical} BY NAME SELECT * FROM {before}")
        return before, record.physical

    # Partitions -------------------------------------------------------------------------------------------------------

    def partition_condition(self, record: TableRecord, partition: str | None) -> str:
        """DuckDB text that is true for the rows of ``partition``; None stands for the whole table.

        Raises:
            BigQueryError: invalid for a table that is not partitioned, or has no partition of that form.
        """
        if partition is None:
            return "true"
        if record.partitioning is None:
            raise BigQueryError(
                "invalid", f"Cannot use partition decorator ${partition}: table {record} is not partitioned."
            )
        return record.partitioning.condition(partition)

    def count(self, db: Session, record: TableRecord, partition: str | None) -> int:
        """The number of rows of the table or of one of its partitions."""
        if partition is None or record.physical is None:
            return int(record.resource.get("numRows", 0))
        condition = self.partition_condition(record, partition)
        return int(db.scalar(f"SELECT count(*) FROM {record.physical} WHERE {condition}") or 0)

    @contextmanager
    def changing(self, db: Session, record: TableRecord, row_ids: str, *, in_place: bool = False) -> Iterator[Changing]:
        """Around what updates or deletes the rows that the DuckDB query ``row_ids`` gives, and :meth:`touch` after it:
        the table's sizes stay known. ``in_place``: even where they are few, updated rows may stay where they are."""
        chosen = f"_changed_{secrets.token_hex(8)}"
        count = db.change(f"CREATE TEMP TABLE {chosen} AS SELECT id FROM ({row_ids}) AS rows(id) WHERE id IS NOT NULL")
        rows = f"FROM {chosen}"
        few = count * _MANY <= int(record.resource["numRows"])
        with self.sizes.following(db, record, rows, count, leave=few and not in_place) as partitions:
            if record.partitioning is None:
                partitions = {None}
            elif partitions is None:
                partition = record.partitioning.id_expression()
                ids = f"SELECT DISTINCT {partition} FROM {record.physical} WHERE rowid IN ({rows})"
                partitions = {row[0] for row in db.rows(ids)}
            yield Changing(partitions, few)
        db.execute(f"DROP TABLE {chosen}")

    def empty_partition(self, db: Session, record: TableRecord, partition: str | None) -> None:
        """Delete the rows of ``partition``, or all."""
        condition = self.partition_condition(record, partition)
        if partition is None and is_kept(record.physical):
            record.physical = self._create_physical(db, record.ref, record.schema, record.resource)
        self.own(db, record)
        if record.physical:
            with self.changing(db, record, f"SELECT rowid FROM {record.physical} WHERE {condition}"):
                db.execute(f"DELETE FROM {record.physical} WHERE {condition}")
                self.touch(db, record)
        else:
            self.touch(db, record)

    def _defaults(self, schema: Schema) -> dict[str, str]:
        """Column → DuckDB text of its default value."""
        return {f.name: self.translate_default(f) for f in schema if f.default_expression is not None}

    def enforce(self, db: Session, record: TableRecord) -> None:
        """Bring what a DML statement wrote by itself in line with :func:`stored_value`."""
        values = {f.name: stored_value(f, identifier(f.name)) for f in record.schema}
        changes = [(identifier(name), value) for name, value in values.items() if value != identifier(name)]
        if changes:
            assignments = ", ".join(f"{name} = {value}" for name, value in changes)
            differs = " OR ".join(f"{name} IS DISTINCT FROM {value}" for name, value in changes)
            db.execute(f"UPDATE {record.physical} SET {assignments} WHERE {differs}")


def _check_names(schema: Schema) -> None:
    for field in schema:
        check_column_name(field.name)
        _check_names(field.fields)


def _spec(resource: dict[str, Any]) -> str:
    """A partitioning as Google's messages show it."""
    if time := resource.get("timePartitioning"):
        kind = time.get("type") or "DAY"
        return f"interval(type:{kind.lower()},field:{time.get('field') or '_PARTITIONTIME'})"
    if ranges := resource.get("rangePartitioning"):
        return f"range(field:{ranges['field']})"
    return "none"


def _clustering(fields: list[str] | None) -> str:
    return f"clustering({','.join(fields)})" if fields else "none"


def _stored(field: Field) -> tuple[Any, ...]:
    """What of a column decides how it is stored."""
    limits = (field.precision, field.scale, field.max_length)
    return field.name, duckdb_type(field), field.mode == "REQUIRED", limits, field.default_expression


def check_rows(db: Session, checks: Sequence[str]) -> None:
    """Fail with the text in the first column of the first row any of the queries ``checks`` returns."""
    for sql in checks:
        if (row := db.execute(sql).fetchone()) is not None:
            raise BigQueryError("invalidQuery", str(row[0]), "query")
