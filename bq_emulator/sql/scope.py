"""What a statement can name besides tables: a script's variables and temporary tables, and system variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zetasql.wasi._pb2.zetasql.public import type_pb2

from bq_emulator.model import BigQueryError, CreateFunction, TableRef
from bq_emulator.sql.types import Type

_FRAME = Type(
    "STRUCT",
    fields=(
        ("line", Type("INT64")), ("column", Type("INT64")), ("filename", Type("STRING")), ("location", Type("STRING")),
    ),
)  # fmt: skip
#: https://cloud.google.com/bigquery/docs/reference/system-variables; what is not here is refused by name.
SYSTEM_VARIABLES = {
    ("current_job_id",): Type("STRING"),
    ("dataset_id",): Type("STRING"),
    ("dataset_project_id",): Type("STRING"),
    ("error", "formatted_stack_trace"): Type("STRING"),
    ("error", "message"): Type("STRING"),
    ("error", "stack_trace"): Type("ARRAY", element=_FRAME),
    ("error", "statement_text"): Type("STRING"),
    ("last_job_id",): Type("STRING"),
    ("location",): Type("STRING"),
    ("project_id",): Type("STRING"),
    ("row_count",): Type("INT64"),
    ("script", "bytes_billed"): Type("INT64"),
    ("script", "bytes_processed"): Type("INT64"),
    ("script", "creation_time"): Type("TIMESTAMP"),
    ("script", "job_id"): Type("STRING"),
    ("script", "num_child_jobs"): Type("INT64"),
    ("time_zone",): Type("STRING"),
}


@dataclass(frozen=True)
class Variable:
    """A script's variable. Its value is kept by DuckDB under the name ``slot``, so it is exact for every type."""

    name: str
    type: type_pb2.TypeProto
    slot: str

    @property
    def sql(self) -> str:
        return f"getvariable('{self.slot}')"


@dataclass
class Scope:
    """``variables`` and ``temp_tables`` by name, variables' in lower case; ``system`` holds the values of system
    variables, absent ones are NULL; ``value`` reads a variable."""

    variables: dict[str, Variable] = field(default_factory=dict)
    system: dict[tuple[str, ...], Any] = field(default_factory=dict)
    temp_tables: dict[str, TableRef] = field(default_factory=dict)
    #: Where a new temporary table goes; None outside a script.
    new_temp_table: Callable[[str], TableRef] | None = None
    value: Callable[[Variable], Any] | None = None
    #: Temporary functions by name in lower case.
    functions: dict[str, CreateFunction] = field(default_factory=dict)

    def temp_table(self, path: tuple[str, ...]) -> TableRef | None:
        """The temporary table that ``path`` names, if it does; such a table hides one of the default dataset."""
        if len(path) == 2 and path[0].upper() == "_SESSION":
            return self.temp_tables.get(path[1])
        return self.temp_tables.get(path[0]) if len(path) == 1 else None

    def for_temp_table(self, path: tuple[str, ...]) -> TableRef:
        """The name of a temporary table to be made.

        Raises:
            BigQueryError: invalidQuery, outside a script or for a name with a dataset.
        """
        if self.new_temp_table is None:
            raise BigQueryError("invalidQuery", "Use of CREATE TEMPORARY TABLE requires a script or session", "query")
        if len(path) > 1 and (len(path) != 2 or path[0].upper() != "_SESSION"):
            message = f"Temporary tables cannot be created in a dataset: {'.'.join(path)}; give the name alone"
            raise BigQueryError("invalidQuery", message, "query")
        return self.new_temp_table(path[-1])
