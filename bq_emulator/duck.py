"""The DuckDB file: opening it, sessions (one cursor each) on it, quoting, and what its errors mean to a client."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from bq_emulator.model import BigQueryError
from bq_emulator.sql import python_functions
from bq_emulator.sql.errors import from_duckdb

#: Beyond it, joins, sorts and aggregations go to disk beside the data. DuckDB's own default, 80 %, would leave a laptop
#: that also runs Airflow and Postgres nothing.
MEMORY_LIMIT = "25%"
#: How much the log of changes may grow before they are written into the file, which rewrites half-filled row groups:
#: with DuckDB's 16 MB loading a million rows in fifteen jobs took three times as long.
_CHECKPOINT_THRESHOLD = "256MB"
#: Compressing texts this way halves the file and doubles the time that writing it takes.
_SLOW_COMPRESSION = "dict_fsst"


#: Statements with parameters that a session keeps parsed.
_PARSED_STATEMENTS = 200


class DataDirLocked(Exception):
    """Another process has the data folder open."""


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_NOT_NULL = re.compile(r"NOT NULL constraint failed: .*\.(?P<column>[^.\n]+)$", re.MULTILINE)
#: DuckDB's errors that a user's data or SQL causes, as opposed to a fault of the emulator.
_DATA_ERRORS = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.InvalidTypeException,
    duckdb.TypeMismatchException,
)


def translate_error(error: duckdb.Error) -> BigQueryError:
    """What a DuckDB error is called in BigQuery."""
    message = str(error)
    if isinstance(error, duckdb.InterruptException):
        return BigQueryError("stopped", "Job execution was cancelled: User requested cancellation")
    if isinstance(error, duckdb.ConstraintException) and (match := _NOT_NULL.search(message)):
        return BigQueryError("invalidQuery", f"Required field {match['column'].strip()} cannot be null", "query")
    if isinstance(error, _DATA_ERRORS):
        return from_duckdb(error)
    if isinstance(error, duckdb.OutOfMemoryException):
        return BigQueryError("resourcesExceeded", f"Resources exceeded during query execution: {message}")
    return BigQueryError("emulatorError", f"The emulator's storage engine failed: {message}")


class Session:
    """One cursor on the database, used by one thread at a time."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._registered: list[str] = []
        self._deferred: list[str] = []
        self._parsed: dict[str, duckdb.Statement] = {}
        #: What has been read or written in the present transaction, for who reads it again; None outside one.
        self.memo: dict[Any, Any] | None = None
        #: The present transaction may write to one table more than once: it is a script's, or loads several files.
        self.goes_on = False

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        if not parameters:
            return self._connection.execute(sql)
        # The emulator's own statements, the same again and again: parsing one takes a third of looking up a record.
        parsed = self._parsed.get(sql)
        if parsed is None:
            (parsed,) = self._connection.extract_statements(sql)
            if len(self._parsed) >= _PARSED_STATEMENTS:
                self._parsed.clear()
            self._parsed[sql] = parsed
        return self._connection.execute(parsed, list(parameters))

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row of a short result. All is fetched: DuckDB refuses :meth:`register` over an unread rest."""
        found = self.rows(sql, parameters)
        return found[0] if found else None

    def scalar(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        row = self.one(sql, parameters)
        return None if row is None else row[0]

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run an INSERT, UPDATE, DELETE or MERGE; the number of rows it touched."""
        row = self.one(sql, parameters)
        return int(row[0]) if row else 0

    def table(self, sql: str) -> pa.Table:
        # execute() would copy the rows once more.
        return self._connection.sql(sql).to_arrow_table()

    def text(self, sql: str) -> tuple[int, bytes]:
        """The only, VARCHAR and not NULL, column of a short result: its number of rows, and their UTF-8 text run
        together without Python ever holding one of them."""
        column = self.table(sql).column(0)
        parts = []
        for chunk in column.chunks:
            _, offsets, data = chunk.buffers()
            ends = memoryview(offsets).cast("i")
            parts.append(memoryview(data)[ends[chunk.offset] : ends[chunk.offset + len(chunk)]])
        return len(column), b"".join(parts)

    def register(self, name: str, table: pa.Table) -> None:
        """Make ``table`` readable as ``name`` until the session ends."""
        self._connection.register(name, table)
        self._registered.append(name)

    def defer(self, sql: str) -> None:
        """Run ``sql`` as the last thing in the present transaction."""
        self._deferred.append(sql)

    @contextmanager
    def transaction(self, goes_on: bool = False) -> Iterator[None]:
        self._deferred.clear()
        self._connection.begin()
        self.memo = {}
        self.goes_on = goes_on
        try:
            yield
            for sql in self._deferred:
                self._connection.execute(sql)
            self._connection.commit()
        except BaseException:
            self.rollback()
            raise
        finally:
            self.memo = None
            self.goes_on = False

    def rollback(self) -> None:
        # An error inside COMMIT ends the transaction by itself, so there may be none left.
        try:
            self._connection.rollback()
        except duckdb.TransactionException as error:
            if "no transaction is active" not in str(error):
                raise

    def interrupt(self) -> None:
        self._connection.interrupt()

    def close(self) -> None:
        self._connection.close()

    def clean(self) -> None:
        for name in self._registered:
            self._connection.unregister(name)
        self._registered.clear()


class Database:
    """The DuckDB file of one project. Sessions are pooled: a cursor costs more than a point query.

    ``schema_setup`` runs once, ``session_setup`` in every session.
    """

    def __init__(
        self,
        path: Path,
        schema_setup: Sequence[str] = (),
        session_setup: Sequence[str] = (),
        memory_limit: str = MEMORY_LIMIT,
    ) -> None:
        self._session_setup = session_setup
        try:
            self._connection = duckdb.connect(
                str(path), config={"memory_limit": memory_limit, "checkpoint_threshold": _CHECKPOINT_THRESHOLD}
            )
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                raise DataDirLocked(
                    f"{path.parent} is in use by another bq-emulator; stop it, or choose another --data-dir"
                ) from error
            raise
        python_functions.register(self._connection)
        for statement in (
            # Nothing may be fetched from the network, whatever a query asks for.
            "SET GLOBAL autoinstall_known_extensions = false",
            "SET GLOBAL autoload_known_extensions = false",
            "SET GLOBAL TimeZone = 'UTC'",
            f"SET GLOBAL disabled_compression_methods = '{_SLOW_COMPRESSION}'",
            *schema_setup,
        ):
            self._connection.execute(statement)
        self._idle: list[Session] = []
        self._busy: dict[object, float] = {}
        self._mutex = threading.Lock()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session of this thread's own. DuckDB's errors leave it as :class:`BigQueryError`."""
        token = object()
        with self._mutex:
            self._busy[token] = time.monotonic()
        try:
            with self._session() as session:
                yield session
        finally:
            with self._mutex:
                del self._busy[token]

    def busy_since(self) -> float:
        """When the first of the sessions now in use began, by :func:`time.monotonic`; now if there is none."""
        with self._mutex:
            return min(self._busy.values(), default=time.monotonic())

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = self._take()
        try:
            yield session
            session.clean()
        except duckdb.Error as error:
            session.close()
            raise translate_error(error) from error
        except BaseException:
            session.close()
            raise
        with self._mutex:
            self._idle.append(session)

    def _take(self) -> Session:
        with self._mutex:
            if self._idle:
                return self._idle.pop()
            session = Session(self._connection.cursor())
        for statement in self._session_setup:
            session.execute(statement)
        return session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with self.session() as session, session.transaction():
            yield session

    def close(self) -> None:
        with self._mutex:
            for session in self._idle:
                session.close()
            self._idle.clear()
            self._connection.close()
