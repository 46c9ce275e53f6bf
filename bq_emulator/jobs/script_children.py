"""The child jobs of a script: one for each statement, and for each expression that reads tables."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pyarrow as pa

from bq_emulator.duck import translate_error
from bq_emulator.jobs import history
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.report import report
from bq_emulator.jobs.script_state import ScriptState
from bq_emulator.jobs.statement import Source, check_limits, finish
from bq_emulator.metadata import ANONYMOUS_DATASET, now_ms
from bq_emulator.model import Assertion, BigQueryError, CreateFunction, Dml, Query, Statement
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.scope import Scope
from bq_emulator.sql.script import Part, Step
from bq_emulator.statements import Outcome, execute, table_keys


class ChildJobs:
    def __init__(self, state: ScriptState) -> None:
        self._state = state
        self._runner = state.statements
        self._db = state.db

    def execute(self, source: Source, step: Step, parameters: Parameters) -> None:
        """Run one statement, which stands at ``step``, as a child job.

        Raises:
            BigQueryError, duckdb.Error: of the statement; the child job has it, too.
        """
        state = self._state
        child = self._child(source if isinstance(source, str) else state.script.source(step.place), step.place)
        run = self._in_transaction if state.transaction.is_open else self._by_itself
        scope = state.scope()
        scope.system[("current_job_id",)] = child.job_id
        try:
            statement, outcome = run(child, source, parameters, scope)
        except (BigQueryError, duckdb.Error) as error:
            child.error = translate_error(error) if isinstance(error, duckdb.Error) else error
            self.save(child)
            report(child)
            raise
        report(child)
        state.note(child, statement, outcome)

    def expression(self, part: Part, statement: Statement) -> Job | None:
        """The child job of an expression that reads tables; others need none."""
        if not statement.referenced_tables:
            return None
        child = self._child(self._state.script.source(part), part, "EXPRESSION")
        self._runner.describe(self._db, child, statement)
        check_limits(child)
        self._state.totals.add(child)
        return child

    def save(self, child: Job) -> None:
        with self._runner.manager.database.transaction() as db:
            history.save_child(db, child)

    def _child(self, text: str, place: Part, kind: str = "STATEMENT") -> Job:
        state, script = self._state, self._state.script
        state.totals.children += 1
        line, column = script.position(place)
        end = script.position(Part(place.end, place.end))
        frame = {
            "startLine": line, "startColumn": column, "endLine": end[0], "endColumn": end[1],
            "text": script.source(place),
        }  # fmt: skip
        job_id = f"script_job_{state.id}_{state.totals.children - 1}"
        child = Job(state.job.project, job_id, state.job.location, {"query": {"query": text, "useLegacySql": False}})
        child.parent = state.job
        child.billed_before = state.totals.billed
        child.statistics |= {
            "startTime": str(now_ms()),
            "parentJobId": state.job.job_id,
            "scriptStatistics": {"evaluationKind": kind, "stackFrames": [frame]},
        }
        return child

    def _by_itself(self, child: Job, source: Source, parameters: Parameters, scope: Scope) -> tuple[Statement, Outcome]:
        default, committing = self._state.default_dataset, self._runner.manager.committing_child
        return self._runner.run(self._db, child, source, default, parameters, scope, committing)

    def _in_transaction(
        self, child: Job, source: Source, parameters: Parameters, scope: Scope
    ) -> tuple[Statement, Outcome]:
        runner, transaction, project = self._runner, self._state.transaction, self._state.job.project
        with transaction.reading():
            statement, _ = runner.compile(self._db, source, self._state.default_dataset, parameters, scope)
            runner.describe(self._db, child, statement)
            check_limits(child)
            if (transaction.has_failed and statement.referenced_tables) or not isinstance(statement, Query):
                transaction.check_alive()
            rows = None
            if isinstance(statement, Query):
                rows = self._db.execute(statement.sql).to_arrow_table()
        if isinstance(statement, Query):
            # Rows that were read stay readable whatever becomes of the transaction.
            return statement, self._keep_rows(child, statement, rows)
        temporary = getattr(getattr(statement, "target", None), "dataset", None) == ANONYMOUS_DATASET
        temporary |= isinstance(statement, CreateFunction) and statement.target is None
        if not temporary and not isinstance(statement, Dml | Assertion):
            message = f"{statement.statement_type} of a permanent entity is not supported inside a transaction"
            raise BigQueryError("invalidQuery", message, "query")
        keys = table_keys(statement, None)
        transaction.hold(keys, project)
        try:
            outcome = execute(self._db, runner.tables, statement)
        except duckdb.TransactionException as error:
            transaction.fail()
            if "onflict" in str(error):
                raise transaction.conflict(keys, project) from error
            raise
        except BaseException:
            transaction.fail()
            raise
        finish(child, outcome)
        self.save(child)
        return statement, outcome

    def _keep_rows(self, child: Job, query: Query, rows: pa.Table) -> Outcome:
        with self._runner.manager.database.transaction() as db:
            db.register("script_rows", rows)
            outcome = execute(db, self._runner.tables, replace(query, sql="SELECT * FROM script_rows"))
            finish(child, outcome)
            history.save_child(db, child)
        return outcome
