"""What octavia reports and exits 1 for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click


class OctaviaError(click.ClickException):
    """An error whose message names what was wrong, where, and the cure; never holds a secret value."""


@dataclass(frozen=True, order=True)
class Problem:
    """One fault of a file: ``line`` counts from 1, ``key`` is the dotted path inside the file ('' = the whole file)."""

    file: Path
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: "
        return where + (f"{self.key}: {self.message}" if self.key else self.message)


class InvalidFiles(OctaviaError):
    """Every fault found in the files; raised before anything is sent to the server."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(set(problems))
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"nothing was sent, the files have {len(self.problems)} fault(s):\n{lines}")
