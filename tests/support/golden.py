"""The golden corpus of SQL: files with a topic each, cases between lines of ``====``: the address of the documentation
that the case is about, the SQL, a line of dashes, what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parents[1] / "bq_emulator" / "sql_golden"


@dataclass(frozen=True)
class Case:
    address: str
    sql: str
    expected: str


def cases(path: Path) -> Iterator[Case]:
    """The cases of a file, whose first line says what they have in common."""
    for case in path.read_text().split("\n", 1)[1].split("\n====\n"):
        address, _, rest = case.partition("\n")
        sql, _, expected = rest.partition("\n----\n")
        yield Case(address, sql.strip("\n"), expected.strip("\n"))
