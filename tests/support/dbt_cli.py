"""dbt's command line in this process: importing dbt anew for each command costs more than most commands do."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import dbt_in_process  # noqa: F401
import pytest
from dbt.cli.main import dbtRunner
from dbt_common.events.base_types import EventMsg


def dbt(*arguments: str | Path, environment: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Run a dbt command in ``folder`` with ``environment`` over this process's own; its exit status and messages."""
    messages: list[str] = []

    def collect(event: EventMsg) -> None:
        if event.info.level != "debug":
            messages.append(f"{event.info.level}: {event.info.msg}")

    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        os.chdir(folder)
        try:
            # Its log file of all debug messages, which nobody reads, is a fifth of what dbt does beside the warehouse.
            options = ("--no-use-colors", "--quiet", "--log-level-file", "none")
            result = dbtRunner(callbacks=[collect]).invoke([*options, *map(str, arguments)])
        finally:
            os.chdir(before)
    if result.exception:
        messages.append(str(result.exception))
    return (0 if result.success else 2 if result.exception else 1), "\n".join(messages)
