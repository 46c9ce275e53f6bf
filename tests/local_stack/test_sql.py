"""``local-stack sql``, where runbooks begin."""

from __future__ import annotations

from pathlib import Path

from stack_driver import new_stack


def test_a_warehouse_that_is_away_is_told_and_not_waited_for(tmp_path: Path) -> None:
    stack = new_stack(tmp_path, PYTHONPROFILEIMPORTTIME="1")
    done = stack("sql", "SELECT 1", timeout=240)  # the client itself would try for ten minutes
    assert done.returncode == 1
    assert "The warehouse does not answer" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stdout.splitlines() if "|" in line}
    assert "google.cloud.bigquery" in imported
    frames = {"pandas.core", "pyarrow.lib", "numpy._core", "google.cloud.bigquery_storage_v1.client"}
    assert not imported & frames, "more than half of its time"
