"""The progress display: a live board on a terminal, one line a change elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_MARKS = {
    "done": Text("✓", "green"),
    "failed": Text("✗", "red"),
    "skipped": Text("-", "yellow"),
    "waiting": Text("·", "dim"),
}


@dataclass
class _Row:
    label: str
    state: str
    detail: str
    began: float | None = None
    ended: float | None = None


@dataclass
class _Section:
    title: str
    rows: dict[str, _Row] = field(default_factory=dict)


class Board:
    """Rows in titled sections; each row is ``waiting``, ``busy``, ``done``, ``skipped`` or ``failed``.

    Use it as a context manager. :meth:`set` may be called as often as one likes: only changes are shown.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._sections: dict[str, _Section] = {}
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=8) if _live(console) else None
        )
        self._began = time.monotonic()

    def __enter__(self) -> Board:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def set(self, section: str, label: str, state: str, detail: str = "") -> None:
        """Show ``label`` of ``section`` in ``state``; ``detail`` is what is worth knowing beside it."""
        rows = self._sections.setdefault(section, _Section(section)).rows
        row = rows.get(label)
        if row and (row.state, row.detail) == (state, detail):
            return
        now = time.monotonic()
        began = row.began if row and row.began is not None else (None if state == "waiting" else now)
        changed = row is None or row.state != state
        rows[label] = _Row(label, state, detail, began, now if state in ("done", "failed", "skipped") else None)
        if self._live is None and changed and state != "waiting":
            self._print(section, rows[label])

    def knows(self, section: str, label: str) -> bool:
        """Whether the row has been shown."""
        return section in self._sections and label in self._sections[section].rows

    def _print(self, section: str, row: _Row) -> None:
        took = f" ({row.ended - row.began:.1f} s)" if row.ended and row.began and row.ended - row.began >= 0.1 else ""
        mark = _MARKS.get(row.state, Text(">"))
        line = (
            Text(f"{time.monotonic() - self._began:6.1f} s  ")
            + mark
            + Text(f" {section}: {row.label} {row.detail}{took}")
        )
        self.console.print(line, soft_wrap=True)

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = []
        for section in self._sections.values():
            table = Table.grid(padding=(0, 1))
            for row in section.rows.values():
                mark = _MARKS.get(row.state) or Spinner("dots", style="cyan")
                now = row.ended or time.monotonic()
                took = f"{now - row.began:5.1f} s" if row.began is not None else ""
                table.add_row("  ", mark, row.label, Text(row.detail, "dim"), Text(took, "dim"))
            parts += [Text(section.title, "bold"), table]
        return Group(*parts)


def _live(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal
