"""The page of a run, and the index of all pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from marketplace_pipeline.alerts.finding import Finding
from marketplace_pipeline.records.run import PipelineRun
from marketplace_pipeline.report.charts import Series, lines, stacked_bars

#: Pages beyond this many are removed, the oldest first.
KEEP = 200

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def write_report(run: PipelineRun, recent: Sequence[PipelineRun], findings: Sequence[Finding], folder: Path) -> Path:
    """Write ``<run>.html`` and the index into ``folder``; the page's path.

    Args:
        recent: runs to draw beside it, oldest first, with or without ``run``.

    Raises:
        OSError: if the folder cannot be written to.
    """
    shown = [other for other in recent if other.run_id != run.run_id and other.started_at <= run.started_at] + [run]
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{_file_name(run)}.html"
    template = _TEMPLATES.get_template("page.html.jinja")
    page.write_text(template.render(run=run, charts=_charts(shown), findings=findings, style=_style()))
    pages = sorted(folder.glob("[0-9]*.html"), reverse=True)
    for old in pages[KEEP:]:
        old.unlink()
    index = _TEMPLATES.get_template("index.html.jinja").render(
        pages=[path.stem for path in pages[:KEEP]], style=_style()
    )
    (folder / "index.html").write_text(index)
    return page


def _file_name(run: PipelineRun) -> str:
    """Sorts by time; safe on every file system."""
    return f"{run.started_at:%Y-%m-%dT%H-%M-%S}_" + re.sub(r"[^A-Za-z0-9_-]+", "-", run.run_id)


def _style() -> str:
    return (Path(__file__).parent / "page.css").read_text()


def _charts(runs: Sequence[PipelineRun]) -> list[str]:
    labels = [f"{run.started_at:%m-%d %H:%M}" for run in runs]
    streams = sorted({name for run in runs for name in run.stream_rows})
    stages = list(dict.fromkeys(name for run in runs for name in run.stage_seconds))
    sources = sorted({name for run in runs for name in run.source_hours})
    tests = [
        Series("passed", [run.tests_passed for run in runs], "good"),
        Series("not run", [run.tests_not_run for run in runs], "idle"),
        Series("warned", [run.tests_warned for run in runs], "doubtful"),
        Series("failed", [run.tests_failed for run in runs], "bad"),
    ]
    return [
        stacked_bars(
            "Rows synced, by stream",
            labels,
            [Series(name, [run.stream_rows.get(name) for run in runs], f"s{i % 10}") for i, name in enumerate(streams)],
            "rows",
        ),
        stacked_bars(
            "Seconds of the tasks, by stage",
            labels,
            [
                Series(name, [run.stage_seconds.get(name) for run in runs], f"s{i % 10}")
                for i, name in enumerate(stages)
            ],
            "s",
        ),
        stacked_bars("Tests", labels, tests, "tests"),
        lines(
            "Age of the youngest row at the end of the run",
            labels,
            [
                Series(name, [run.source_hours.get(name) for run in runs], f"s{i % 10}")
                for i, name in enumerate(sources)
            ],
            "hours",
        ),
        stacked_bars(
            "Kept out of the figures, all in all",
            labels,
            [
                Series("duplicate payments removed", [run.duplicates_removed for run in runs], "s0"),
                Series("orders quarantined", [run.quarantined for run in runs], "doubtful"),
            ],
            "rows",
        ),
    ]
