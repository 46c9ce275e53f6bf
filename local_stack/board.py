"""The progress display: a live board on a terminal, one line a change elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_MARKS = {
    "done": Text("✓", "green"),
    "failed": Text("✗", "red"),
}


@dataclass(frozen=True)
class _Row:
    label: str
    state: str
    detail: str
    share: tuple[int, int] | None
    passing: bool
    began: float
    ended: float | None

    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return (self.ended or time.monotonic()) - self.began


class Board:
    """Rows in titled sections; each row is ``busy``, ``done`` or ``failed``.

    Use it as a context manager. :meth:`set` may be called as often as one likes: only changes are shown. On a terminal
    a section that is done shrinks to one line, so that what goes on stays in view.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._sections: dict[str, dict[str, _Row]] = {}
        live = console.is_terminal and not console.is_dumb_terminal
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8) if live else None
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

    def set(
        self,
        section: str,
        label: str,
        state: str,
        detail: str = "",
        *,
        share: tuple[int, int] | None = None,
        passing: bool = False,
    ) -> None:
        """Show ``label`` of ``section`` in ``state``; ``detail`` is what is worth knowing beside it.

        ``share`` is drawn as a bar, (3, 12) a quarter full. A ``passing`` row leaves the live board when it is done.
        """
        rows = self._sections.setdefault(section, {})
        before = rows.get(label)
        if before and (before.state, before.detail) == (state, detail):
            return
        now = time.monotonic()
        began = before.began if before else now
        ended = None if state == "busy" else now
        rows[label] = _Row(label, state, detail, share, passing, began, ended)
        if self._live is None and (before is None or before.state != state):
            self._print(section, rows[label])

    def knows(self, section: str, label: str) -> bool:
        """Whether the row has been shown."""
        return label in self._sections.get(section, {})

    def _print(self, section: str, row: _Row) -> None:
        seconds = row.seconds()
        took = f" ({seconds:.1f} s)" if row.ended and seconds >= 0.1 else ""
        mark = _MARKS.get(row.state, Text(">"))
        line = Text(f"{time.monotonic() - self._began:6.1f} s  ") + mark
        self.console.print(line + Text(f" {section}: {row.label} {row.detail}{took}"), soft_wrap=True)

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = []
        for title, rows in self._sections.items():
            if all(row.state == "done" for row in rows.values()):
                began = min(row.began for row in rows.values())
                ended = max(row.ended or 0 for row in rows.values())
                parts.append(Text.assemble(("✓ ", "green"), (title, "bold"), (f"  {ended - began:.1f} s", "dim")))
                continue
            parts += [Text(title, "bold"), _table([row for row in rows.values() if not _has_passed(row)])]
        return Group(*parts)


def _has_passed(row: _Row) -> bool:
    return row.passing and row.state == "done"


def _table(rows: list[_Row]) -> Table:
    table = Table.grid(padding=(0, 1))
    for row in rows:
        detail: RenderableType = Text(row.detail, "dim")
        if row.share:
            bar = ProgressBar(total=row.share[1], completed=row.share[0], width=30)
            detail = Columns([bar, detail])
        took = Text(f"{row.seconds():5.1f} s", "dim")
        table.add_row("  ", _MARKS.get(row.state) or Spinner("dots", style="cyan"), row.label, took, detail)
    return table
