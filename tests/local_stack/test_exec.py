"""``local-stack exec``: a command with the stack's environment."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from real_services import free_port

from local_stack.cli import main


def test_a_command_that_needs_a_service_is_refused_where_it_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_STACK_DIR", str(tmp_path))
    monkeypatch.setenv("BIGQUERY_API_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    outcome = CliRunner().invoke(main, ["exec", "--needs", "bigquery", "false"])
    assert outcome.exit_code == 1
    assert "BigQuery emulator at http://127.0.0.1" in outcome.output
    assert "make up" in outcome.output
