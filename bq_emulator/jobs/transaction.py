"""BEGIN … COMMIT of one script (https://cloud.google.com/bigquery/docs/transactions)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress

import duckdb

from bq_emulator.duck import Session
from bq_emulator.locks import Busy, Locks, TableKey
from bq_emulator.model import BigQueryError


class _RolledBack(Exception):
    pass


class ScriptTransaction:
    """At most one transaction at a time. What it changes stays locked until its end; where a table is held by another,
    or was changed since the transaction began, it fails, as on BigQuery, instead of waiting.

    DuckDB gives a transaction up once a statement in it has failed. A script may catch that failure, and then it can
    only roll back; ``has_failed`` tells.
    """

    def __init__(self, db: Session, locks: Locks) -> None:
        self._db = db
        self._locks = locks
        self._held: set[TableKey] = set()
        self._lock_stack = ExitStack()
        self._stack = ExitStack()
        self._id = ""
        self.is_open = False
        self.has_failed = False

    def begin(self) -> None:
        if self.is_open:
            raise BigQueryError("invalidQuery", "Transaction is already in progress; nested ones do not exist", "query")
        self._id = str(uuid.uuid4())
        self._stack.enter_context(self._db.transaction(goes_on=True))
        self.is_open, self.has_failed = True, False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Reads within: in the open transaction, or in one of their own."""
        if not self.is_open or self.has_failed:
            with self._db.transaction():
                yield
            return
        try:
            yield
        except duckdb.Error:
            self.fail()
            raise

    def hold(self, keys: Collection[TableKey], project: str) -> None:
        """Lock what the next statement changes."""
        wanted = set(keys) - self._held
        try:
            self._lock_stack.enter_context(self._locks.tables(wanted, wait=False))
        except Busy:
            raise self.conflict(wanted, project) from None
        self._held |= wanted

    def conflict(self, keys: Collection[TableKey], project: str) -> BigQueryError:
        """Google's error for a table that another has changed."""
        names = ", ".join(f"{project}:{dataset}.{table}" for dataset, table in sorted(keys))
        return BigQueryError(
            "invalidQuery",
            f"Transaction is aborted due to concurrent update against table {names}. Transaction ID: {self._id}",
            "query",
        )

    def check_alive(self) -> None:
        """Raises BigQueryError in a transaction in which a statement has failed."""
        if self.has_failed:
            raise BigQueryError(
                "notImplemented",
                "A statement of this transaction has failed; in this emulator it can only be rolled back.",
                "query",
            )

    def commit(self) -> None:
        self._check_open()
        self.check_alive()
        try:
            self._stack.close()
        finally:
            self._end()

    def rollback(self) -> None:
        self._check_open()
        try:
            if not self.has_failed:
                self._abandon()
        finally:
            self._end()

    def fail(self) -> None:
        """A statement failed: nothing of the transaction is to stay."""
        if self.is_open and not self.has_failed:
            self._abandon()
            self.has_failed = True

    def _abandon(self) -> None:
        """Have the session's transaction end as it does when an error leaves it."""
        reason = _RolledBack()
        with suppress(_RolledBack):
            self._stack.__exit__(_RolledBack, reason, None)

    def _end(self) -> None:
        self.is_open = self.has_failed = False
        self._held.clear()
        self._lock_stack.close()

    def _check_open(self) -> None:
        if not self.is_open:
            raise BigQueryError("invalidQuery", "There is no transaction in progress", "query")
