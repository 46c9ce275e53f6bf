"""``local-stack sql``, where runbooks begin."""

from __future__ import annotations

from pathlib import Path

from stack_driver import new_stack


def test_a_warehouse_that_is_away_is_told_and_not_waited_for(tmp_path: Path) -> None:
    done = new_stack(tmp_path)("sql", "SELECT 1", timeout=240)  # the client itself would try for ten minutes
    assert done.returncode == 1
    assert "The warehouse does not answer" in done.stdout
