"""Query jobs."""

from __future__ import annotations

from typing import Any

from bq_emulator.catalog import SnapshotCatalog
from bq_emulator.destination import Destination
from bq_emulator.duck import Session
from bq_emulator.jobs.job import Job
from bq_emulator.jobs.manager import JobManager
from bq_emulator.jobs.script import ScriptRun
from bq_emulator.jobs.statement import Source, StatementRunner
from bq_emulator.locks import Locks
from bq_emulator.model import BigQueryError, CreateFunction, Query, Statement
from bq_emulator.schema import Schema, schema_to_rest
from bq_emulator.sql.frontend import GoogleSqlFrontend
from bq_emulator.sql.parameters import Parameters
from bq_emulator.sql.scope import Scope
from bq_emulator.sql.script import Script, is_query_with_functions
from bq_emulator.tables import Tables

#: Configuration that would change a result if it were ignored.
_REFUSED = (
    "tableDefinitions",
    "userDefinedFunctionResources",
    "destinationEncryptionConfiguration",
    "connectionProperties",
    "createSession",
    "continuous",
    "scriptOptions",
)


class QueryRunner:
    def __init__(self, frontend: GoogleSqlFrontend, tables: Tables, locks: Locks) -> None:
        self._frontend = frontend
        self._tables = tables
        self._locks = locks

    def __call__(self, manager: JobManager, db: Session, job: Job) -> None:
        """Run one statement, or a script."""
        parameters = job.parameters
        check_configuration(parameters)
        statements = StatementRunner(self._frontend, self._tables, self._locks, manager)
        script = self._frontend.script(parameters["query"])
        default = parameters.get("defaultDataset") or {}
        scope = Scope(system=statements.system_variables(job, default))
        given = Parameters.of(parameters)
        source: Source = parameters["query"]
        if script is not None and is_query_with_functions(script):
            source = (script, script.steps[-1].place)
            scope.functions = self._functions(statements, db, script, default)
        elif script is not None:
            if parameters.get("destinationTable"):
                raise BigQueryError("invalidQuery", "Cannot set destination table in jobs with scripts", "query")
            ScriptRun(statements, db, job, script).run()
            return
        destination = None
        if parameters.get("destinationTable"):
            destination = Destination.from_configuration(parameters, "WRITE_EMPTY")
        statements.run(db, job, source, default, given, scope, manager.committing, destination)

    def _functions(
        self, statements: StatementRunner, db: Session, script: Script, default: dict[str, Any]
    ) -> dict[str, CreateFunction]:
        """The temporary functions before the one query of a text."""
        functions: dict[str, CreateFunction] = {}
        with db.transaction():
            for step in script.steps[:-1]:
                scope = Scope(functions=functions)
                made, _ = statements.compile(db, (script, step.place), default, Parameters(), scope)
                if isinstance(made, CreateFunction):
                    functions = {**functions, made.name.lower(): made}
        return functions

    def dry_run(self, manager: JobManager, db: Session, job: Job) -> None:
        """Fill in the statistics of a query that is not to run. Of a script only the syntax is checked: what its
        statements need may be made by those before."""
        parameters = job.parameters
        check_configuration(parameters)
        script = self._frontend.script(parameters["query"])
        if script is not None and not is_query_with_functions(script):
            job.statistics["totalBytesProcessed"] = "0"
            job.statistics["query"] = {"statementType": "SCRIPT", "totalBytesProcessed": "0", "cacheHit": False}
            return
        statements = StatementRunner(self._frontend, self._tables, self._locks, manager)
        default = parameters.get("defaultDataset") or {}
        scope = Scope(system=statements.system_variables(job, default))
        source: Source = parameters["query"]
        if script is not None:
            source = (script, script.steps[-1].place)
            scope.functions = self._functions(statements, db, script, default)
        with db.transaction():
            statement, _ = statements.compile(db, source, default, Parameters.of(parameters), scope)
            statements.describe(db, job, statement)
        if isinstance(statement, Query):
            job.statistics["query"]["schema"] = schema_to_rest(statement.schema)

    def view_schema(self, db: Session, query: str) -> Schema:
        """The columns of a view to be made of ``query``.

        Raises:
            BigQueryError: what is wrong with the query.
        """
        found = self.select(db, query)
        if found is None:
            raise BigQueryError("invalid", "A view must be made of one SELECT query.")
        return found.schema

    def statement(self, db: Session, text: str) -> Statement:
        """``text``, which is one statement, translated. Raises BigQueryError for what is wrong with it."""
        catalog = SnapshotCatalog(db, self._tables)
        return self._frontend.compile(text, catalog=catalog, project=self._tables.metadata.project)

    def select(self, db: Session, text: str) -> Query | None:
        """``text`` translated, if it is a SELECT. Raises BigQueryError for what is wrong with it."""
        statement = self.statement(db, text)
        return statement if isinstance(statement, Query) else None


def check_configuration(parameters: dict[str, Any]) -> None:
    """Raises BigQueryError for a query configuration that cannot be obeyed."""
    if not str(parameters.get("query") or "").strip():
        raise BigQueryError("required", "Required parameter is missing: query")
    if parameters.get("useLegacySql"):
        raise BigQueryError(
            "notImplemented", "Legacy SQL is not supported by this emulator: set useLegacySql to false."
        )
    for key in _REFUSED:
        if parameters.get(key):
            raise BigQueryError("notImplemented", f"configuration.query.{key} is not supported by this emulator.")
