"""Scripts: several statements in one query job, run one after another.

Each statement is analyzed when its turn comes, so it sees what those before it did, commits by itself outside a
transaction, and becomes a child job. https://cloud.google.com/bigquery/docs/multi-statement-queries
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
from zetasql.wasi._pb2.zetasql.public import type_pb2

from bq_emulator.duck import Session, translate_error
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.statement import Source, StatementRunner, finish, reference
from bq_emulator.jobs.transaction import ScriptTransaction
from bq_emulator.jobs.variables import Variables
from bq_emulator.metadata import ANONYMOUS_DATASET, now_ms
from bq_emulator.model import (
    Assertion,
    BigQueryError,
    CreateFunction,
    CreateTable,
    Dml,
    DropTable,
    Expression,
    Field,
    Query,
    Statement,
    TableRef,
)
from bq_emulator.schema import schema_to_rest
from bq_emulator.sql import types
from bq_emulator.sql.catalog import Normalized
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.scope import Scope, Variable
from bq_emulator.sql.script import (
    Assign,
    Block,
    Choice,
    Declare,
    ExecuteImmediate,
    Leaf,
    Part,
    Raise,
    Return,
    Script,
    Step,
    Transaction,
)
from bq_emulator.statements import Outcome, execute, table_keys

#: Errors that no EXCEPTION clause catches: the user's wish to stop, and what this emulator lacks.
_UNCATCHABLE = ("stopped", "notImplemented", "emulatorError")
_BOOL = type_pb2.TypeProto(type_kind=type_pb2.TYPE_BOOL)
S = TypeVar("S", bound=Statement)
_STRING = type_pb2.TypeProto(type_kind=type_pb2.TYPE_STRING)


class ScriptError(BigQueryError):
    """An error of a statement, with what @@error tells of it. ``bare`` is @@error.message."""

    def __init__(self, error: BigQueryError, bare: str, text: str, position: tuple[int, int]) -> None:
        message = bare if " at [" in bare else f"{bare} at [{position[0]}:{position[1]}]"
        super().__init__(error.reason, message, error.location)
        self.bare = bare
        self.text = text
        self.position = position


class _Returned(Exception):
    """RETURN was reached."""


@dataclass
class _Totals:
    children: int = 0
    bytes: int = 0
    last_job_id: str | None = None
    row_count: int | None = None
    last: Outcome = field(default_factory=Outcome)


class ScriptRun:
    """One run of one script, on the thread and session of its job."""

    def __init__(self, statements: StatementRunner, db: Session, job: Job, script: Script) -> None:
        self._statements = statements
        self._db = db
        self._job = job
        self._script = script
        self._id = secrets.token_hex(8)
        self._variables = Variables(db)
        self._transaction = ScriptTransaction(db, statements.locks)
        self._temp_tables: dict[str, TableRef] = {}
        self._functions: dict[str, CreateFunction] = {}
        self._errors: list[ScriptError] = []
        self._default = dict(job.parameters.get("defaultDataset") or {})
        self._totals = _Totals()

    def run(self) -> None:
        """Run it and record its end with the job's.

        Raises:
            BigQueryError: of the statement that failed; a transaction that was open is rolled back.
        """
        try:
            with suppress(_Returned):
                self._body(self._script.steps)
            if self._transaction.is_open:  # the script has ended without COMMIT
                self._transaction.rollback()
            self._variables.clear()
            with self._statements.manager.committing(self._db, self._job):
                self._drop_temp_tables(self._db)
                self._describe()
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        self._transaction.fail()
        if self._transaction.is_open:
            self._transaction.rollback()
        self._describe()
        with self._statements.manager.database.transaction() as db:
            self._drop_temp_tables(db)

    def _drop_temp_tables(self, db: Session) -> None:
        tables = self._statements.tables
        for ref in self._temp_tables.values():
            if (record := tables.metadata.find_table(db, ref.dataset, ref.table)) is not None:
                tables.drop(db, record)

    def _describe(self) -> None:
        statistics, last = self._job.statistics, self._totals.last
        query = statistics.setdefault("query", {})
        statistics["numChildJobs"] = str(self._totals.children)
        statistics["totalBytesProcessed"] = str(self._totals.bytes)
        query |= {"statementType": "SCRIPT", "cacheHit": False, "totalSlotMs": "0"}
        query |= dict.fromkeys(("totalBytesProcessed", "totalBytesBilled"), str(self._totals.bytes))
        query |= {key: last.statistics[key] for key in ("numDmlAffectedRows", "dmlStats") if key in last.statistics}
        if last.result is not None and last.target is not None:
            query["schema"] = schema_to_rest(last.result.schema)
            self._job.parameters["destinationTable"] = reference(last.target)

    # Control flow ---------------------------------------------------------------------------------------------------

    def _body(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self._job.check_stop()
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
            position = self._script.position(step.place)
            bare = error.message
            if not isinstance(step, Raise):
                bare = f"Query error: {error.message}"
                if " at [" not in bare:
                    bare += f" at [{position[0]}:{position[1]}]"
            raise ScriptError(error, bare, self._script.source(step.place), position) from raised

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
            self._errors.append(error)
            try:
                self._body(step.handler)
            finally:
                self._errors.pop()

    def _choice(self, step: Choice) -> None:
        compared = None
        if step.value is not None:
            compared = self._infer(step.value)
        for branch in step.branches:
            if self._condition(branch.condition, compared):
                return self._body(branch.body)
        return self._body(step.otherwise or ())

    def _condition(self, part: Part, compared: Variable | None) -> bool:
        """NULL counts as false."""
        if compared is not None:
            part = Part(part.start, part.end, f"SET @@script_value = `{compared.name}` = (", ")")
        result = self._variables.hidden(_BOOL)
        self._evaluate(part, result, extra=compared)
        return self._variables.value(result) is True

    def _raise(self, step: Raise) -> None:
        if step.message is None:
            if not self._errors:
                message = "Cannot re-raise an existing exception outside of an exception handler"
                raise BigQueryError("invalidQuery", message, "query")
            raise self._errors[-1]
        text = self._text(step.message)
        if text is None:
            raise BigQueryError("invalidQuery", "The message of RAISE is NULL", "query")
        raise BigQueryError("invalidQuery", text, "query")

    def _return(self, step: Return) -> None:
        raise _Returned

    # Variables and expressions --------------------------------------------------------------------------------------

    def _declare(self, step: Declare) -> None:
        source = Part(step.type.start, step.type.end, "CREATE TEMP TABLE t (c ", ")") if step.type else None
        value = None
        limits = None
        if source is not None:
            with self._reading():
                declared = self._compile(source, CreateTable)
            limits = declared.schema[0]
            kind = types.to_proto(limits)
            if step.default is not None:
                value = self._variables.hidden(kind)
                self._evaluate(step.default, value)
        elif step.default is not None:  # the parser wants one of the two
            value = self._infer(step.default)
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
            return self._evaluate(step.value, targets[0])
        kind = type_pb2.TypeProto(type_kind=type_pb2.TYPE_STRUCT)
        for place, target in enumerate(targets):
            kind.struct_type.field.add(field_name=f"f{place}").field_type.CopyFrom(target.type)
        value = self._variables.hidden(kind)
        self._evaluate(step.value, value)
        for place, target in enumerate(targets, 1):
            self._variables.set(target, f"struct_extract_at({value.sql}, {place})")
        return None

    def _assign_system(self, step: Assign) -> None:
        name = "@@" + ".".join(step.names)
        value = self._text(step.value)
        if step.names in (("dataset_id",), ("dataset_project_id",)):
            self._default[{"dataset_id": "datasetId", "dataset_project_id": "projectId"}[step.names[0]]] = value
        elif step.names != ("time_zone",) or value != "UTC":
            raise BigQueryError("notImplemented", f"SET {name} = {value!r} is not supported by this emulator.", "query")

    def _infer(self, part: Part) -> Variable:
        """A hidden variable with the type and value of an expression."""
        with self._reading():
            query = self._compile(Part(part.start, part.end, "SELECT "), Query)
        value = self._variables.hidden(types.to_proto(query.schema[0]))
        self._evaluate(part, value)
        return value

    def _expression(self, part: Part, statement: Statement) -> Job | None:
        """The child job of an expression that reads tables; others need none."""
        if not statement.referenced_tables:
            return None
        child = self._child(self._script.source(part), part, "EXPRESSION")
        self._statements.describe(self._db, child, statement)
        self._totals.bytes += int(child.statistics["query"]["totalBytesProcessed"])
        return child

    def _text(self, part: Part) -> str | None:
        value = self._variables.hidden(_STRING)
        self._evaluate(part, value)
        found: str | None = self._variables.value(value)
        return found

    def _evaluate(self, part: Part, target: Variable, extra: Variable | None = None) -> None:
        """Set ``target`` to the value of an expression; ``extra`` is one more variable that it names."""
        with self._reading():
            statement = self._compile(part, Expression, target.type, extra)
            self._variables.set(target, statement.sql)
            child = self._expression(part, statement)
        if child is not None:
            self._save(child)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        if not self._transaction.is_open or self._transaction.has_failed:
            with self._db.transaction():
                yield
            return
        try:
            yield
        except duckdb.Error:
            self._transaction.fail()
            raise

    def _compile(
        self,
        part: Part,
        wanted: type[S],
        expected: type_pb2.TypeProto | None = None,
        extra: Variable | None = None,
        script: Script | None = None,
    ) -> S:
        """A part of the script, or of another one, that must be a statement of the kind ``wanted``."""
        source = (script or self._script, part)
        scope = self._scope(extra)
        statement, _ = self._statements.compile(self._db, source, self._default, self._parameters(), scope, expected)
        if not isinstance(statement, wanted):
            raise BigQueryError("invalidQuery", f"Unexpected {statement.statement_type} statement", "query")
        return statement

    def _parameters(self) -> Parameters:
        return Parameters.of(self._job.parameters)

    def _scope(self, extra: Variable | None = None) -> Scope:
        variables = self._variables.visible()
        if extra is not None:
            variables[extra.name] = extra
        value, new_table = self._variables.value, self._new_temp_table
        return Scope(variables, self._system(), self._temp_tables, new_table, value, self._functions)

    def _new_temp_table(self, name: str) -> TableRef:
        return TableRef(self._statements.tables.metadata.project, ANONYMOUS_DATASET, f"script{self._id}_{name}")

    def _system(self) -> dict[tuple[str, ...], Any]:
        created = int(self._job.statistics["creationTime"])
        values: dict[tuple[str, ...], Any] = {
            **self._statements.system_variables(self._job, self._default),
            ("last_job_id",): self._totals.last_job_id,
            ("row_count",): self._totals.row_count,
            ("script", "job_id"): self._job.job_id,
            ("script", "bytes_processed"): self._totals.bytes,
            ("script", "bytes_billed"): self._totals.bytes,
            ("script", "num_child_jobs"): self._totals.children,
            ("script", "creation_time"): dt.datetime.fromtimestamp(created / 1000, dt.UTC),
        }
        if self._errors:
            error = self._errors[-1]
            line, column = error.position
            values |= {
                ("error", "message"): error.bare,
                ("error", "statement_text"): error.text,
                ("error", "stack_trace"): [(line, column, None, None)],
                ("error", "formatted_stack_trace"): f"At [{line}:{column}]\n",
            }
        return values

    # Statements -----------------------------------------------------------------------------------------------------

    def _leaf(self, step: Leaf) -> None:
        self._execute((self._script, step.place), step, self._parameters())

    def _execute(self, source: Source, step: Step, parameters: Parameters) -> None:
        child = self._child(source if isinstance(source, str) else self._script.source(step.place), step.place)
        run = self._in_transaction if self._transaction.is_open else self._by_itself
        scope = self._scope()
        scope.system[("current_job_id",)] = child.job_id
        try:
            statement, outcome = run(child, source, parameters, scope)
        except (BigQueryError, duckdb.Error) as error:
            child.error = translate_error(error) if isinstance(error, duckdb.Error) else error
            self._save(child)
            raise
        self._note(child, statement, outcome)

    def _save(self, child: Job) -> None:
        with self._statements.manager.database.transaction() as db:
            self._statements.manager.save_child(db, child)

    def _by_itself(self, child: Job, source: Source, parameters: Parameters, scope: Scope) -> tuple[Statement, Outcome]:
        manager = self._statements.manager
        return self._statements.run(self._db, child, source, self._default, parameters, scope, manager.committing_child)

    def _child(self, text: str, place: Part, kind: str = "STATEMENT") -> Job:
        self._totals.children += 1
        line, column = self._script.position(place)
        end = self._script.position(Part(place.end, place.end))
        frame = {
            "startLine": line, "startColumn": column, "endLine": end[0], "endColumn": end[1],
            "text": self._script.source(place),
        }  # fmt: skip
        job_id = f"script_job_{self._id}_{self._totals.children - 1}"
        child = Job(self._job.project, job_id, self._job.location, {"query": {"query": text, "useLegacySql": False}})
        child.statistics |= {
            "startTime": str(now_ms()),
            "parentJobId": self._job.job_id,
            "scriptStatistics": {"evaluationKind": kind, "stackFrames": [frame]},
        }
        return child

    def _in_transaction(
        self, child: Job, source: Source, parameters: Parameters, scope: Scope
    ) -> tuple[Statement, Outcome]:
        runner = self._statements
        with self._reading():
            statement, _ = runner.compile(self._db, source, self._default, parameters, scope)
            runner.describe(self._db, child, statement)
            if (self._transaction.has_failed and statement.referenced_tables) or not isinstance(statement, Query):
                self._transaction.check_alive()
            rows = None
            if isinstance(statement, Query):
                rows = self._db.execute(statement.sql).to_arrow_table()
        if isinstance(statement, Query):
            # Rows that were read stay readable whatever becomes of the transaction.
            return statement, self._keep_rows(child, statement, rows)
        temporary = getattr(getattr(statement, "target", None), "dataset", None) == ANONYMOUS_DATASET
        if not temporary and not isinstance(statement, Dml | Assertion | CreateFunction):
            message = f"{statement.statement_type} of a permanent entity is not supported inside a transaction"
            raise BigQueryError("invalidQuery", message, "query")
        keys = table_keys(statement, None)
        self._transaction.hold(keys, self._job.project)
        try:
            outcome = execute(self._db, runner.tables, statement)
        except duckdb.TransactionException as error:
            self._transaction.fail()
            if "onflict" in str(error):
                raise self._transaction.conflict(keys, self._job.project) from error
            raise
        except BaseException:
            self._transaction.fail()
            raise
        finish(child, outcome)
        self._save(child)
        return statement, outcome

    def _keep_rows(self, child: Job, query: Query, rows: pa.Table) -> Outcome:
        with self._statements.manager.database.transaction() as db:
            db.register("script_rows", rows)
            outcome = execute(db, self._statements.tables, replace(query, sql="SELECT * FROM script_rows"))
            finish(child, outcome)
            self._statements.manager.save_child(db, child)
        return outcome

    def _note(self, child: Job, statement: Statement, outcome: Outcome) -> None:
        """What the next statement can know of this one."""
        self._totals.bytes += int(child.statistics["query"]["totalBytesProcessed"])
        self._totals.last_job_id = child.job_id
        affected = outcome.statistics.get("numDmlAffectedRows")
        self._totals.row_count = int(affected) if affected is not None else None
        self._totals.last = outcome
        if isinstance(statement, CreateTable) and statement.is_temporary:
            self._temp_tables[statement.target.table.split("_", 1)[1]] = statement.target
        elif isinstance(statement, CreateFunction):
            self._functions[statement.name.lower()] = statement
        elif isinstance(statement, DropTable):
            self._temp_tables = {name: ref for name, ref in self._temp_tables.items() if ref != statement.target}

    def _execute_immediate(self, step: ExecuteImmediate) -> None:
        sql = self._text(step.sql)
        if sql is None:
            raise BigQueryError("invalidQuery", "The SQL text of EXECUTE IMMEDIATE is NULL", "query")
        if self._statements.frontend.script(sql) is not None:
            raise BigQueryError("notImplemented", "EXECUTE IMMEDIATE of a script is not supported by this emulator.")
        named: dict[str, tuple[Any, Any]] = {}
        positional = []
        for part, name in step.using:
            value = self._infer(part)
            declared = types.from_proto(value.type).field(name or "")
            if name is None:
                positional.append((declared, value))
            else:
                named[name.lower()] = (declared, value)
        parameters = Parameters(named, tuple(positional))
        if not step.into:
            return self._execute(sql, step, parameters)
        with self._reading():
            query, _ = self._statements.compile(self._db, sql, self._default, parameters, self._scope())
            if not isinstance(query, Query) or len(query.schema) != len(step.into):
                message = f"EXECUTE IMMEDIATE … INTO needs a query of {len(step.into)} columns"
                raise BigQueryError("invalidQuery", message, "query")
            row = self._variables.hidden(types.to_proto(Field("", "STRUCT", fields=query.schema)))
            self._variables.set(row, f"(SELECT q FROM ({query.sql}) AS q)")
        for name, column in zip(step.into, query.schema, strict=True):
            text = f"`{row.name}`.`{column.name}`"
            target = self._variables.find(name)
            with self._reading():
                whole = Script(Normalized(text, ()), ())
                cell = self._compile(Part(0, len(text)), Expression, target.type, row, whole)
                self._variables.set(target, cell.sql)
        return None

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
