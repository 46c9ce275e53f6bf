"""Logical bytes of tables, by column and partition: what queries are said to process, and what storage is said to hold.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace

import orjson
import pyarrow as pa
import structlog

from bq_emulator.duck import Session, identifier
from bq_emulator.kept import is_kept, with_any_digits
from bq_emulator.metadata import REWRITTEN, TableRecord
from bq_emulator.model import Field, TableRef
from bq_emulator.schema import Schema, find

log = structlog.get_logger("bq_emulator.sizes")

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
#: After so many seconds who waited for a change has gone on, and the rows it took are weighed though nobody asks.
_SOON = 1.0

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
    return f"coalesce({_length(field, expression)} + 2, 0)"


def _length(field: Field, expression: str) -> str:
    return f"{'octet_length' if field.type == 'BYTES' else 'strlen'}({expression})"


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
    if field.type in _TEXTS and field.mode != "REPEATED":
        # A sum leaves NULLs out by itself, in half the time.
        return f"coalesce(sum({_length(field, text)} + 2), 0)::BIGINT"
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


#: A table as it is committed: its record in a transaction of another session, open until the context ends.
Committed = Callable[[TableRef], AbstractContextManager[tuple[Session, TableRecord | None]]]


class _Leaving:
    """Rows that a change takes out of a table, to be weighed in a transaction that still sees them."""

    def __init__(self, known: _Known, ids: pa.Table, db: Session, record: TableRecord, transaction: ExitStack) -> None:
        self.rows = len(ids)
        self.timer: threading.Timer | None = None
        self._known = known
        self._ids = ids
        self._db = db
        self._record = record
        self._transaction: ExitStack | None = transaction
        self._rest: _Known | None = None
        self._mutex = threading.Lock()

    def rest(self) -> _Known | None:
        """The measures of the rows that stay; None if weighing has failed before, or was given up."""
        with self._mutex:
            if (transaction := self._ended()) is not None:
                with transaction:
                    self._db.register("_leaving", self._ids)
                    gone = _read(self._db, self._record, self._known.names, "rowid IN (FROM _leaving)")
                self._rest = _without(self._known, gone)
            return self._rest

    def give_up(self) -> None:
        with self._mutex:
            if (transaction := self._ended()) is not None:
                transaction.close()

    def _ended(self) -> ExitStack | None:
        """The transaction, once; its end is the caller's."""
        if self.timer is not None:
            self.timer.cancel()
        transaction, self._transaction = self._transaction, None
        return transaction


class Sizes:
    """Each table is measured lazily, once for each column that is asked for. After that the rows that are appended,
    updated or deleted are all that is looked at: a change costs what its rows weigh, however large the table is. What
    is taken out of a large table is weighed after the change, by who asks first or by a thread :data:`_SOON` after."""

    def __init__(self, committed: Committed | None = None) -> None:
        """Without ``committed`` all is weighed in the transaction that changes it."""
        self._committed = committed
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._leaving: dict[_Key, _Leaving] = {}
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

    def close(self) -> None:
        """Weigh nothing more, and let go of the database."""
        with self._mutex:
            leaving = list(self._leaving.values())
            self._leaving.clear()
        for each in leaving:
            each.give_up()

    def _of(self, db: Session, record: TableRecord) -> _Known | None:
        key = _key(record)
        with self._mutex:
            leaving, known = self._leaving.get(key), self._known.get(key)
        if leaving is not None:
            return self._weighed(key, leaving)
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

    @contextmanager
    def following(
        self, db: Session, record: TableRecord, rows: str, count: int, *, leave: bool
    ) -> Iterator[set[str | None] | None]:
        """Around a change of the ``count`` rows that the DuckDB query ``rows`` of row ids gives: what is known of the
        table stays so, unless measuring all of it anew, when that is asked for, is less work. ``leave``: they are few
        of the table's and none stays where it is. Yields the partitions of these rows, if that has told."""
        known = self._of(db, record)
        if known is None or known.last < 0 or count * _FEW > known.rows:
            yield None
            return
        leaving = self._leave(db, record, known, rows) if leave and count and known.rows >= _LARGE else None
        if leaving is None:
            gone = _read(db, record, known.names, _chosen(rows, known.last))
            yield set(gone.measured) if gone.rows == count else None
            self._remember_rest(db, record, _without(known, gone), rows)
            return
        try:
            yield set(known.measured) if leaving.rows == count and len(known.measured) == 1 else None
        except BaseException:
            leaving.give_up()
            raise
        self._weigh_soon(_key(record), leaving)

    def _leave(self, db: Session, record: TableRecord, known: _Known, rows: str) -> _Leaving | None:
        """Those of ``rows`` that are known, in a transaction that begins now; None if ``db`` itself has changed some of
        the table's rows before, which that does not see."""
        if self._committed is None:
            return None
        with ExitStack() as transaction:
            other, committed = transaction.enter_context(self._committed(record.ref))
            if committed is None or _key(committed) != _key(record):
                return None
            ids = db.table(f"SELECT id FROM ({rows}) AS rows(id) WHERE id <= {known.last}")
            return _Leaving(known, ids, other, committed, transaction.pop_all())

    def _weigh_soon(self, key: _Key, leaving: _Leaving) -> None:
        with self._mutex:
            self._leaving[key] = leaving
        leaving.timer = threading.Timer(_SOON, self._weigh_unasked, [key, leaving])
        leaving.timer.daemon = True
        leaving.timer.start()

    def _weigh_unasked(self, key: _Key, leaving: _Leaving) -> None:
        try:
            self._weighed(key, leaving)
        except Exception:
            log.exception("weighing changed rows failed; their table will be measured anew", table=key[0])

    def _weighed(self, key: _Key, leaving: _Leaving) -> _Known | None:
        rest = None
        try:
            rest = leaving.rest()
        finally:
            with self._mutex:
                # Else somebody was quicker, and may know more by now.
                if self._leaving.get(key) is leaving:
                    del self._leaving[key]
                    if rest is not None:
                        self._put(key, rest)
        return rest

    def _remember_rest(self, db: Session, record: TableRecord, rest: _Known, rows: str) -> None:
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
            self._put(key, known)

    def _put(self, key: _Key, known: _Known) -> None:
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


def _without(known: _Known, gone: _Known) -> _Known:
    measured = _sum_of(known.measured, gone.measured, -1)
    return _Known(known.rows - gone.rows, known.last, known.names, measured)


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
    source = f"FROM {with_any_digits(str(record.physical))}{where}"
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
