"""What a running script knows: its variables, temporary tables and functions, defaults, errors and totals."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass, field
from typing import Any

from bq_emulator.duck import Session
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.statement import StatementRunner, reference
from bq_emulator.jobs.transaction import ScriptTransaction
from bq_emulator.jobs.variables import Variables
from bq_emulator.metadata import ANONYMOUS_DATASET
from bq_emulator.model import BigQueryError, CreateFunction, CreateTable, DropTable, Statement, TableRef
from bq_emulator.schema import schema_to_rest
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.scope import Scope, Variable
from bq_emulator.sql.script import Script
from bq_emulator.statements import Outcome


class ScriptError(BigQueryError):
    """An error of a statement, with what @@error tells of it. ``bare`` is @@error.message."""

    def __init__(self, error: BigQueryError, bare: str, text: str, position: tuple[int, int]) -> None:
        message = bare if " at [" in bare else f"{bare} at [{position[0]}:{position[1]}]"
        super().__init__(error.reason, message, error.location)
        self.bare = bare
        self.text = text
        self.position = position


@dataclass
class Totals:
    children: int = 0
    processed: int = 0
    billed: int = 0
    last_job_id: str | None = None
    row_count: int | None = None
    last: Outcome = field(default_factory=Outcome)

    def add(self, child: Job) -> None:
        """Count what a child job has read."""
        query = child.statistics["query"]
        self.processed += int(query["totalBytesProcessed"])
        self.billed += int(query["totalBytesBilled"])


class ScriptState:
    """The state of one run of ``script``, on the thread and session of its job."""

    def __init__(self, statements: StatementRunner, db: Session, job: Job, script: Script) -> None:
        self.statements = statements
        self.db = db
        self.job = job
        self.script = script
        self.id = secrets.token_hex(8)
        self.variables = Variables(db)
        self.transaction = ScriptTransaction(db, statements.locks)
        #: Errors whose EXCEPTION clauses run now, the innermost last.
        self.errors: list[ScriptError] = []
        #: REST's DatasetReference.
        self.default_dataset = dict(job.parameters.get("defaultDataset") or {})
        self.totals = Totals()
        self._temp_tables: dict[str, TableRef] = {}
        self._functions: dict[str, CreateFunction] = {}

    @property
    def parameters(self) -> Parameters:
        """The query parameters of the whole script."""
        return Parameters.of(self.job.parameters)

    def scope(self, extra: Variable | None = None) -> Scope:
        """What the next statement can name; ``extra`` is one more variable."""
        variables = self.variables.visible()
        if extra is not None:
            variables[extra.name] = extra
        value = self.variables.value
        return Scope(variables, self._system(), self._temp_tables, self._new_temp_table, value, self._functions)

    def _new_temp_table(self, name: str) -> TableRef:
        return TableRef(self.statements.tables.metadata.project, ANONYMOUS_DATASET, f"script{self.id}_{name}")

    def _system(self) -> dict[tuple[str, ...], Any]:
        created = int(self.job.statistics["creationTime"])
        values: dict[tuple[str, ...], Any] = {
            **self.statements.system_variables(self.job, self.default_dataset),
            ("last_job_id",): self.totals.last_job_id,
            ("row_count",): self.totals.row_count,
            ("script", "job_id"): self.job.job_id,
            ("script", "bytes_processed"): self.totals.processed,
            ("script", "bytes_billed"): self.totals.billed,
            ("script", "num_child_jobs"): self.totals.children,
            ("script", "creation_time"): dt.datetime.fromtimestamp(created / 1000, dt.UTC),
        }
        if self.errors:
            error = self.errors[-1]
            line, column = error.position
            values |= {
                ("error", "message"): error.bare,
                ("error", "statement_text"): error.text,
                ("error", "stack_trace"): [(line, column, None, None)],
                ("error", "formatted_stack_trace"): f"At [{line}:{column}]\n",
            }
        return values

    def note(self, child: Job, statement: Statement, outcome: Outcome) -> None:
        """What the next statement can know of this one."""
        self.totals.add(child)
        self.totals.last_job_id = child.job_id
        affected = outcome.statistics.get("numDmlAffectedRows")
        self.totals.row_count = int(affected) if affected is not None else None
        self.totals.last = outcome
        if isinstance(statement, CreateTable) and statement.is_temporary:
            self._temp_tables[statement.target.table.split("_", 1)[1]] = statement.target
        elif isinstance(statement, CreateFunction) and statement.target is None:
            self._functions[statement.name.lower()] = statement
        elif isinstance(statement, DropTable):
            self._temp_tables = {name: ref for name, ref in self._temp_tables.items() if ref != statement.target}

    def drop_temp_tables(self, db: Session) -> None:
        """Drop them in the transaction of ``db``."""
        tables = self.statements.tables
        for ref in self._temp_tables.values():
            if (record := tables.metadata.find_table(db, ref.dataset, ref.table)) is not None:
                tables.drop(db, record)

    def describe(self) -> None:
        """Write what has been done into the script's job."""
        statistics, last = self.job.statistics, self.totals.last
        query = statistics.setdefault("query", {})
        statistics["numChildJobs"] = str(self.totals.children)
        statistics["totalBytesProcessed"] = str(self.totals.processed)
        query |= {"statementType": "SCRIPT", "cacheHit": False, "totalSlotMs": "0"}
        query |= {"totalBytesProcessed": str(self.totals.processed), "totalBytesBilled": str(self.totals.billed)}
        query |= {key: last.statistics[key] for key in ("numDmlAffectedRows", "dmlStats") if key in last.statistics}
        if last.result is not None and last.target is not None:
            query["schema"] = schema_to_rest(last.result.schema)
            self.job.parameters["destinationTable"] = reference(last.target)
