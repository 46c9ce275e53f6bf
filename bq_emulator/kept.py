"""Tables whose rows stay in the Parquet files they were loaded from.

A stage table is written once, read once or twice, and dropped. Reading it from the files that came saves storing its
rows, which is most of what a load costs. Such a table's ``physical`` is no name but a query of its files, in brackets;
whatever changes its rows gives it a store of its own first (:meth:`bq_emulator.tables.Tables.own`). Only tables that
expire are kept so, and what is made of them row by row (:mod:`bq_emulator.projected`): the others are read often, and
faster from DuckDB's own storage.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from pathlib import Path

from bq_emulator.duck import Database, Session, identifier, literal
from bq_emulator.loads.source import Source
from bq_emulator.metadata import Metadata, TableRecord
from bq_emulator.schema import duckdb_type, find
from bq_emulator.stored import stored_value

#: The folder of the files, beside the database's own. Their names are relative to that of both, which may be moved.
FOLDER = "loaded"
#: Smaller files are not worth it where no larger one has come before.
_LEAST_BYTES = 1 << 18
#: DuckDB opens every file for every query.
_MOST_FILES = 1000
_NAME = re.compile(rf"'{FOLDER}/([0-9a-f]+-[0-9a-f]+\.parquet)'")
_END = "]))"
#: What DuckDB calls a row's place in a file, unless the file itself has columns of these names.
_PLACE = ("filename", "file_row_number")
#: Of a file's path, at most the folder changes.
_NAME_LENGTH = 49


def row_digits(secret: str) -> str:
    """DuckDB text of 32 hexadecimal digits that no other row has, in a query of files."""
    return f"md5(concat('{secret}', right(filename, {_NAME_LENGTH}), '.', file_row_number))"


_ROW_DIGITS = re.compile(re.escape(row_digits("SECRET")).replace("SECRET", "[0-9a-f]+"))


def with_any_digits(physical: str) -> str:
    """``physical``, where all rows have the same :func:`row_digits`: to weigh them, which takes as long as weighing ten
    columns if they must be computed."""
    return _ROW_DIGITS.sub("repeat('0', 32)", physical)


def is_kept(physical: str | None) -> bool:
    return physical is not None and physical.startswith("(")


def takes(record: TableRecord, source: Source, file: Path) -> bool:
    """Whether the rows of ``file``, as ``source`` reads them, may stay there and still be rows of the table: nothing
    is to be checked, computed or sorted into partitions when they are stored."""
    if source.file is None or not record.resource.get("expirationTime") or record.partitioning is not None:
        return False
    if any(name in source.file.lower() for name in _PLACE):
        return False
    if any(
        field.mode == "REQUIRED" or field.default_expression is not None or stored_value(field, "x") != "x"
        for field in record.schema
    ):
        return False
    if is_kept(record.physical):
        return len(_NAME.findall(record.physical or "")) < _MOST_FILES
    return not int(record.resource.get("numRows", 0)) and file.stat().st_size >= _LEAST_BYTES


class KeptFiles:
    """The files in the folder ``data_dir``/:data:`FOLDER`."""

    def __init__(self, data_dir: Path, database: Database, metadata: Metadata) -> None:
        self._folder = data_dir / FOLDER
        self._folder.mkdir(exist_ok=True)
        self._database = database
        self._metadata = metadata
        self._unused: dict[str, float] = {}
        with database.session() as db:
            db.execute(f"SET GLOBAL file_search_path = {literal(str(data_dir.resolve()))}")
            for name in self._names() - self._used(db):
                (self._folder / name).unlink()

    def add(self, record: TableRecord, source: Source, file: Path) -> tuple[str, str] | None:
        """The table's ``physical`` with ``file`` added to what it has, and a query of ``file`` alone that tells whether
        its rows can be read, and what they weigh; None if not all can be read as one. The file is moved; until a record
        with it is committed it belongs to nobody, and goes by itself.
        """
        assert source.file is not None  # noqa: S101 (takes() has said so)
        # DuckDB reads all files of a list as the first one's columns.
        kind = hashlib.sha256(source.file.encode()).hexdigest()[:16]
        values, looked_at = [], []
        for field in record.schema:
            given = next((i for i, each in enumerate(source.schema) if find((each,), field.name)), None)
            value, readable = ("NULL", "NULL") if given is None else (source.values[given], source.readable[given])
            values.append(f"CAST({value} AS {duckdb_type(field)}) AS {identifier(field.name)}")
            looked_at.append(values[-1] if readable == value else f"{readable} AS {identifier(field.name)}")
        begin = f"(SELECT {', '.join(values)} FROM read_parquet(['{FOLDER}/{kind}-"
        before = record.physical if is_kept(record.physical) else None
        if before is not None and not before.startswith(begin):
            return None
        name = f"{kind}-{secrets.token_hex(12)}.parquet"
        file.replace(self._folder / name)
        for path in (self._folder / name, self._folder):
            _sync(path)
        alone = f" FROM read_parquet(['{FOLDER}/{name}'{_END}"
        together = (
            f"{before.removesuffix(_END)}, '{FOLDER}/{name}'{_END}" if before else f"(SELECT {', '.join(values)}{alone}"
        )
        return together, f"(SELECT {', '.join(looked_at)}{alone}"

    def sweep(self) -> None:
        """Remove the files that no table has, once all who were at work when that was first seen have ended: they may
        still read a file that a table had until then, or be about to give one to a table."""
        oldest = self._database.busy_since()
        with self._database.session() as db:
            unused = self._names() - self._used(db)
        now = time.monotonic()
        self._unused = {name: self._unused.get(name, now) for name in unused}
        for name, since in self._unused.items():
            if since < oldest:
                (self._folder / name).unlink(missing_ok=True)

    def _names(self) -> set[str]:
        return {path.name for path in self._folder.iterdir()}

    def _used(self, db: Session) -> set[str]:
        return {name for physical in self._metadata.kept(db) for name in _NAME.findall(physical)}


def _sync(path: Path) -> None:
    """What is committed refers to the file, so it must be there after a crash."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
