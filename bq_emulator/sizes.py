"""Logical bytes of tables, by column and partition: what queries are said to process, and what storage is said to hold.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import orjson

from bq_emulator.duck import Session, identifier
from bq_emulator.kept import is_kept
from bq_emulator.metadata import REWRITTEN, TableRecord
from bq_emulator.model import Field
from bq_emulator.schema import Schema, find

_FIXED_BYTES = {
    "INT64": 8,
    "FLOAT64": 8,
    "NUMERIC": 16,
    "BIGNUMERIC": 32,
    "BOOL": 1,
    "DATE": 8,
    "DATETIME": 8,
    "TIME": 8,
    "TIMESTAMP": 8,
    "INTERVAL": 16,
}
_TEXTS = ("STRING", "BYTES", "JSON")
#: DuckDB numbers rows from here on that their transaction has not committed yet.
_UNCOMMITTED = 36_028_797_018_960_000
_KNOWN_TABLES = 5000
#: Tables with fewer rows are measured sooner than looked up.
_LARGE = 100_000
#: In place of the last row's number: an earlier process, which may have been killed later, has left these measures.
_RESTORED = -2
#: Stands for the number of rows among the names of columns.
ROWS = ""
#: Looking for rows by their ids, before and after a change, takes as long as reading this part of the table.
_FEW = 4

#: Partition id (None for a table without partitions) → column → bytes; :data:`ROWS` → rows.
Measured = dict[str | None, dict[str, int]]


def bytes_expression(field: Field, expression: str) -> str:
    """DuckDB text for the logical size of one value."""
    if field.mode == "REPEATED":
        element = bytes_expression(replace(field, mode="NULLABLE"), "x")
        return f"coalesce(list_sum(list_transform({expression}, lambda x: {element})), 0)"
    if field.type == "STRUCT":
        return "(" + " + ".join(bytes_expression(f, f"{expression}.{identifier(f.name)}") for f in field.fields) + ")"
    if field.type in _FIXED_BYTES:
        return f"(CASE WHEN {expression} IS NULL THEN 0 ELSE {_FIXED_BYTES[field.type]} END)"
    length = "octet_length" if field.type == "BYTES" else "strlen"
    return f"coalesce({length}({expression}) + 2, 0)"


def _sum(schema: Schema, path: str) -> str:
    """DuckDB text for the bytes of all values of a column, or of a field ``a.b`` of one."""
    first, *rest = path.split(".")
    field, text = find(schema, first), identifier(first)
    for name in rest:
        field = find(field.fields, name) if field is not None else None
        text += f".{identifier(name)}"
    if field is None:
        raise KeyError(path)
    if field.type in _FIXED_BYTES and field.mode != "REPEATED":
        return f"{_FIXED_BYTES[field.type]} * count({text})"
    return f"coalesce(sum({bytes_expression(field, text)}), 0)::BIGINT"


#: A table's store and the mark of its last rewriting; between two of these the number of rows tells versions apart.
_Key = tuple[str | None, str | None]


@dataclass(frozen=True)
class _Known:
    """The measures of the first ``rows`` rows of a table, up to the one DuckDB numbers ``last``."""

    rows: int
    last: int
    names: frozenset[str]
    measured: Measured


class Sizes:
    """Each table is measured lazily, once for each column that is asked for. After that the rows that are appended,
    updated or deleted are all that is looked at: a change costs what its rows weigh, however large the table is."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._mutex = threading.Lock()

    def measure(self, db: Session, record: TableRecord, names: Iterable[str]) -> Measured:
        """The bytes of columns (``a.b`` for a field of a STRUCT), and the number of rows, of each partition.

        Seen from the session's transaction; ``record`` must be read in it.
        """
        wanted = frozenset({*names, ROWS})
        rows = int(record.resource.get("numRows", 0))
        if record.physical is None or not rows:
            return {}
        key = _key(record)
        known = self._of(db, record)
        now = self._brought_up_to(db, record, known, rows)
        if missing := wanted - now.names:
            more = _read(db, record, missing)
            measured = {each: now.measured.get(each, {}) | values for each, values in more.measured.items()}
            now = _Known(rows, max(now.last, more.last), now.names | missing, measured)
        if now.last < _UNCOMMITTED and (known is None or now.rows >= known.rows):
            self._remember(key, now)
        return {each: {name: values[name] for name in wanted} for each, values in now.measured.items()}

    def store(self, db: Session, records: Iterable[TableRecord]) -> None:
        """Leave what is known of the large ones among these tables to the next process. A table's mark and number of
        rows tell it whether they are still the table's: what was left before a crash is forgotten, not believed."""
        db.execute("DELETE FROM __bq.sizes")
        for record in records:
            rows = int(record.resource.get("numRows", 0))
            known = self._of(db, record) if rows >= _LARGE else None
            if known is not None and (now := self._brought_up_to(db, record, known, rows)).names:
                measured = orjson.dumps(list(now.measured.items())).decode()
                db.execute("INSERT INTO __bq.sizes VALUES (?, ?, ?)", [*_key(record), measured])

    def restore(self, db: Session) -> None:
        """What an earlier process has left."""
        for physical, rewritten, text in db.rows("SELECT * FROM __bq.sizes"):
            measured = dict(orjson.loads(text))
            rows = sum(values[ROWS] for values in measured.values())
            names = frozenset(name for values in measured.values() for name in values)
            self._remember((physical, rewritten), _Known(rows, _RESTORED, names, measured))

    def _of(self, db: Session, record: TableRecord) -> _Known | None:
        with self._mutex:
            known = self._known.get(_key(record))
        if known is None or known.last != _RESTORED:
            return known
        if known.rows != int(record.resource["numRows"]):
            return None
        # DuckDB may have numbered the rows anew when it opened or closed its file.
        last = 0 if is_kept(record.physical) else db.scalar(f"SELECT max(rowid) FROM {record.physical}")
        return replace(known, last=last)

    def _brought_up_to(self, db: Session, record: TableRecord, known: _Known | None, rows: int) -> _Known:
        if known is None or known.rows > rows:  # or the transaction began before what is known was there
            return _Known(rows, -1, frozenset(), {})
        if known.rows == rows:
            return known
        added = _read(db, record, known.names, f"rowid > {known.last}")
        if added.rows != rows - known.rows:  # DuckDB has numbered the rows anew
            return _Known(rows, -1, frozenset(), {})
        return _Known(rows, added.last, known.names, _sum_of(known.measured, added.measured))

    def without(
        self, db: Session, record: TableRecord, rows: str, count: int
    ) -> tuple[_Known | None, set[str | None] | None]:
        """What is known of all but the ``count`` rows that the DuckDB query ``rows`` of row ids gives, which are about
        to be changed; None if measuring all of them anew, when that is asked for, is less work than going on from here.
        And the partitions of these rows, if that has told."""
        known = self._of(db, record)
        if known is None or known.last < 0 or count * _FEW > known.rows:
            return None, None
        gone = _read(db, record, known.names, _chosen(rows, known.last))
        measured = _sum_of(known.measured, gone.measured, -1)
        rest = _Known(known.rows - gone.rows, known.last, known.names, measured)
        return rest, set(gone.measured) if gone.rows == count else None

    def remember(self, db: Session, record: TableRecord, rest: _Known, rows: str) -> None:
        """The table's measures, now that nothing but ``rows`` has changed since ``rest`` was left of them. What was
        written at the table's end is not looked at before it is asked for."""
        beyond = db.scalar(f"SELECT count(*) FROM {record.physical} WHERE rowid > {rest.last}")
        before_it = int(record.resource["numRows"]) - beyond
        if before_it != rest.rows:  # some of them are where they were
            left = _read(db, record, rest.names, _chosen(rows, rest.last))
            rest = _Known(rest.rows + left.rows, rest.last, rest.names, _sum_of(rest.measured, left.measured))
        # Not if DuckDB has numbered the rows anew, or partitions have expired with this change.
        if before_it == rest.rows:
            self._remember(_key(record), rest)

    def _remember(self, key: _Key, known: _Known) -> None:
        with self._mutex:
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > _KNOWN_TABLES:
                self._known.popitem(last=False)

    def attached(self, db: Session, record: TableRecord, physical: str, part: str) -> dict[str, int]:
        """The measures of ``part``, by reading all of it; they are remembered as those of ``physical``, together with
        those of what the table has."""
        names = [field.name for field in record.schema]
        sums = "".join(f", {_sum(record.schema, name)}" for name in names)
        # Without a hash DuckDB may count values by the file's statistics, and not find what is broken. Texts it reads.
        counted = [field.name for field in record.schema if field.mode == "REPEATED" or field.type not in _TEXTS]
        values = ", ".join(map(identifier, counted))
        rows, _, *values_ = db.rows(f"SELECT count(*), bit_xor(hash({values or 'NULL'})){sums} FROM {part}")[0]
        measured = dict(zip((ROWS, *names), (rows, *values_), strict=True))
        rewritten = record.resource.get(REWRITTEN)
        before = int(record.resource.get("numRows", 0))
        with self._mutex:
            known = self._known.get((record.physical, rewritten))
            if not before or (known is not None and known.names >= set(names) and known.rows == before):
                old = known.measured.get(None, {}) if known is not None and before else {}
                total = {name: old.get(name, 0) + value for name, value in measured.items()}
                self._known[physical, rewritten] = _Known(before + rows, 0, frozenset(measured), {None: total})
        return measured

    def uncommitted(self, db: Session, record: TableRecord) -> int:
        """Logical bytes of the rows that the session's transaction has appended."""
        names = frozenset(field.name for field in record.schema)
        measured = _read(db, record, names, f"rowid >= {_UNCOMMITTED}").measured if record.physical else {}
        return sum(values[name] for values in measured.values() for name in names)

    def total(self, db: Session, record: TableRecord, partition: str | None = None) -> int:
        """Logical bytes of the table, or of one of its partitions."""
        names = [field.name for field in record.schema]
        measured = self.measure(db, record, names)
        chosen = measured if partition is None else {partition: measured.get(partition, {})}
        return sum(values.get(name, 0) for values in chosen.values() for name in names)


def _key(record: TableRecord) -> _Key:
    return record.physical, record.resource.get(REWRITTEN)


def _chosen(rows: str, last: int) -> str:
    return f"rowid IN ({rows}) AND rowid <= {last}"


def _sum_of(measured: Measured, more: Measured, sign: int = 1) -> Measured:
    """Both, or with ``sign`` -1 their difference; without partitions that have no rows."""
    total = {each: dict(values) for each, values in measured.items()}
    for each, values in more.items():
        before = total.get(each, {})
        total[each] = {name: before.get(name, 0) + sign * value for name, value in values.items()}
    return {each: values for each, values in total.items() if values[ROWS]}


def _read(db: Session, record: TableRecord, names: frozenset[str], condition: str | None = None) -> _Known:
    """Measure the rows that meet the DuckDB text ``condition``, or all."""
    columns = sorted(names - {ROWS})
    number = "0" if is_kept(record.physical) else "rowid"
    sums = "".join(f", {_sum(record.schema, name)}" for name in columns)
    where = f" WHERE {condition}" if condition else ""
    source = f"FROM {record.physical}{where}"
    partitioning = record.partitioning
    if partitioning is None:
        found = db.rows(f"SELECT NULL, count(*), max({number}){sums} {source}")
    else:
        # Grouped by what is cheap to compare; the ids are made of the few groups.
        key = partitioning.key_expression()
        grouped = f"SELECT {key} AS {partitioning.text}, count(*), max({number}){sums} {source}"
        text = f"SELECT {partitioning.id_expression()}, * EXCLUDE ({partitioning.text}) FROM ({grouped} GROUP BY 1)"
        found = db.rows(text)
    measured = {row[0]: dict(zip((ROWS, *columns), (row[1], *row[3:]), strict=True)) for row in found if row[1]}
    return _Known(sum(row[1] for row in found), max((row[2] for row in found if row[1]), default=-1), names, measured)
