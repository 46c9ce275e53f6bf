"""How paths written in a statement are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bq_emulator.model import BigQueryError, RoutineRef, TableRef
from bq_emulator.sql.catalog import table_ref
from bq_emulator.sql.routines import NAME
from bq_emulator.sql.scope import Scope


@dataclass(frozen=True)
class Names:
    project: str
    default_dataset: str | None
    #: The paths of the tables the statement reads, as written.
    read: tuple[tuple[str, ...], ...]
    scope: Scope = field(default_factory=Scope)

    def table(self, path: Sequence[str]) -> TableRef:
        """The full name of a table."""
        return self.scope.temp_table(tuple(path)) or self.named_table(path)

    def named_table(self, path: Sequence[str]) -> TableRef:
        """The full name of a table that is not temporary."""
        return table_ref(tuple(path), self.project, self.default_dataset)

    def routine(self, path: tuple[str, ...]) -> RoutineRef:
        """The full name of a function.

        Raises:
            BigQueryError: invalid for a name without dataset where there is no default one.
        """
        if len(path) == 1 and self.default_dataset is None:
            message = f'Function "{path[0]}" must be qualified with a dataset (e.g. dataset.function).'
            raise BigQueryError("invalid", message, path[0])
        ref = table_ref(path, self.project, self.default_dataset)
        if not NAME.fullmatch(ref.table):
            raise BigQueryError("invalid", f'Invalid routine ID "{ref.table}".', ref.table)
        return RoutineRef(ref.project, ref.dataset, ref.table)

    def dataset(self, path: Sequence[str]) -> tuple[str, str]:
        """(project, dataset) of a schema's name."""
        if len(path) > 2:
            raise BigQueryError("invalidQuery", f'Invalid dataset name: "{".".join(path)}"', "query")
        return (path[0], path[1]) if len(path) == 2 else (self.project, path[0])
