"""Scripts: several statements in one query job, run one after another.

Each statement is analyzed when its turn comes, so it sees what those before it did, commits by itself outside a
transaction, and becomes a child job. https://cloud.google.com/bigquery/docs/multi-statement-queries
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
from zetasql.wasi._pb2.zetasql.public import type_pb2

from bq_emulator.duck import Session, translate_error
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.script_children import ChildJobs
from bq_emulator.jobs.script_expressions import Expressions
from bq_emulator.jobs.script_state import ScriptError, ScriptState
from bq_emulator.jobs.statement import StatementRunner
from bq_emulator.model import BigQueryError
from bq_emulator.sql import types
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.script import (
    Assign,
    Block,
    Choice,
    Declare,
    ExecuteImmediate,
    Leaf,
    Raise,
    Return,
    Script,
    Step,
    Transaction,
)

#: Errors that no EXCEPTION clause catches: the user's wish to stop, and what this emulator lacks.
_UNCATCHABLE = ("stopped", "notImplemented", "emulatorError")


class _Returned(Exception):
    """RETURN was reached."""


class ScriptRun:
    """One run of one script, on the thread and session of its job: what is done next."""

    def __init__(self, statements: StatementRunner, db: Session, job: Job, script: Script) -> None:
        self._state = ScriptState(statements, db, job, script)
        self._children = ChildJobs(self._state)
        self._expressions = Expressions(self._state, self._children)
        self._variables = self._state.variables
        self._transaction = self._state.transaction

    def run(self) -> None:
        """Run it and record its end with the job's.

        Raises:
            BigQueryError: of the statement that failed; a transaction that was open is rolled back.
        """
        state = self._state
        try:
            with suppress(_Returned):
                self._body(state.script.steps)
            if self._transaction.is_open:  # the script has ended without COMMIT
                self._transaction.rollback()
            self._variables.clear()
            with state.statements.manager.committing(state.db, state.job):
                state.drop_temp_tables(state.db)
                state.describe()
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        self._transaction.fail()
        if self._transaction.is_open:
            self._transaction.rollback()
        self._state.describe()
        with self._state.statements.manager.database.transaction() as db:
            self._state.drop_temp_tables(db)

    def _body(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self._state.job.check_stop()
            with self._located(step):
                _RUN[type(step)](self, step)

    @contextmanager
    def _located(self, step: Step) -> Iterator[None]:
        """Errors of ``step`` say where in the script it stands."""
        try:
            yield
        except ScriptError:
            raise
        except (BigQueryError, duckdb.Error) as raised:
            error = translate_error(raised) if isinstance(raised, duckdb.Error) else raised
            if error.reason in _UNCATCHABLE:
                raise error from raised
            position = self._state.script.position(step.place)
            bare = error.message
            if not isinstance(step, Raise):
                bare = f"Query error: {error.message}"
                if " at [" not in bare:
                    bare += f" at [{position[0]}:{position[1]}]"
            raise ScriptError(error, bare, self._state.script.source(step.place), position) from raised

    def _leaf(self, step: Leaf) -> None:
        self._children.execute((self._state.script, step.place), step, self._state.parameters)

    def _block(self, step: Block) -> None:
        try:
            self._variables.push()
            try:
                self._body(step.body)
            finally:
                self._variables.pop()
        except ScriptError as error:
            if step.handler is None:
                raise
            self._state.errors.append(error)
            try:
                self._body(step.handler)
            finally:
                self._state.errors.pop()

    def _choice(self, step: Choice) -> None:
        compared = self._expressions.infer(step.value) if step.value is not None else None
        for branch in step.branches:
            if self._expressions.condition(branch.condition, compared):
                return self._body(branch.body)
        return self._body(step.otherwise or ())

    def _raise(self, step: Raise) -> None:
        if step.message is None:
            if not self._state.errors:
                message = "Cannot re-raise an existing exception outside of an exception handler"
                raise BigQueryError("invalidQuery", message, "query")
            raise self._state.errors[-1]
        text = self._expressions.text(step.message)
        if text is None:
            raise BigQueryError("invalidQuery", "The message of RAISE is NULL", "query")
        raise BigQueryError("invalidQuery", text, "query")

    def _return(self, step: Return) -> None:
        raise _Returned

    def _declare(self, step: Declare) -> None:
        value = None
        limits = None
        if step.type is not None:
            limits = self._expressions.declared(step.type)
            kind = types.to_proto(limits)
            if step.default is not None:
                value = self._variables.hidden(kind)
                self._expressions.evaluate(step.default, value)
        elif step.default is not None:  # the parser wants one of the two
            value = self._expressions.infer(step.default)
            kind = value.type
        for name in step.names:
            variable = self._variables.declare(name, kind, limits)
            if value is not None:
                self._variables.set(variable, value.sql)

    def _assign(self, step: Assign) -> None:
        if step.system:
            return self._assign_system(step)
        targets = [self._variables.find(name) for name in step.names]
        if not step.from_struct:
            return self._expressions.evaluate(step.value, targets[0])
        kind = type_pb2.TypeProto(type_kind=type_pb2.TYPE_STRUCT)
        for place, target in enumerate(targets):
            kind.struct_type.field.add(field_name=f"f{place}").field_type.CopyFrom(target.type)
        value = self._variables.hidden(kind)
        self._expressions.evaluate(step.value, value)
        for place, target in enumerate(targets, 1):
            self._variables.set(target, f"struct_extract_at({value.sql}, {place})")
        return None

    def _assign_system(self, step: Assign) -> None:
        name = "@@" + ".".join(step.names)
        value = self._expressions.text(step.value)
        keys: dict[tuple[str, ...], str] = {("dataset_id",): "datasetId", ("dataset_project_id",): "projectId"}
        if step.names in keys:
            self._state.default_dataset[keys[step.names]] = value
        elif step.names != ("time_zone",) or value != "UTC":
            raise BigQueryError("notImplemented", f"SET {name} = {value!r} is not supported by this emulator.", "query")

    def _execute_immediate(self, step: ExecuteImmediate) -> None:
        sql = self._expressions.text(step.sql)
        if sql is None:
            raise BigQueryError("invalidQuery", "The SQL text of EXECUTE IMMEDIATE is NULL", "query")
        if self._state.statements.frontend.script(sql) is not None:
            raise BigQueryError("notImplemented", "EXECUTE IMMEDIATE of a script is not supported by this emulator.")
        named: dict[str, tuple[Any, Any]] = {}
        positional = []
        for part, name in step.using:
            value = self._expressions.infer(part)
            declared = types.from_proto(value.type).field(name or "")
            if name is None:
                positional.append((declared, value))
            else:
                named[name.lower()] = (declared, value)
        if named and positional:
            raise BigQueryError(
                "invalidQuery", "USING of EXECUTE IMMEDIATE cannot mix named and positional parameters", "query"
            )
        parameters = Parameters(named, tuple(positional))
        if not step.into:
            return self._children.execute(sql, step, parameters)
        targets = [self._variables.find(name) for name in step.into]
        return self._expressions.set_from_row(sql, parameters, targets)

    def _transact(self, step: Transaction) -> None:
        {"BEGIN": self._transaction.begin, "COMMIT": self._transaction.commit, "ROLLBACK": self._transaction.rollback}[
            step.action
        ]()


_RUN: dict[type[Step], Callable[[ScriptRun, Any], None]] = {
    Leaf: ScriptRun._leaf,
    Declare: ScriptRun._declare,
    Assign: ScriptRun._assign,
    Choice: ScriptRun._choice,
    Block: ScriptRun._block,
    Raise: ScriptRun._raise,
    Return: ScriptRun._return,
    ExecuteImmediate: ScriptRun._execute_immediate,
    Transaction: ScriptRun._transact,
}
