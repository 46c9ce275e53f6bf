"""``local-stack exec``, a command with the stack's environment, and a target of make with the same."""

import os
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from real_services import ROOT, free_port

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


def test_secrets_for_compose_go_once_into_the_file_that_the_stack_reads(tmp_path: Path) -> None:
    file = tmp_path / "staging.env"
    command = ["make", "--old-file=.venv/.built", "compose-env"]
    environment = os.environ | {"LOCAL_STACK_ENV_FILE": str(file)}
    written = []
    for _ in range(2):
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        written.append(file.read_text())
    assert "AIRFLOW_FERNET_KEY=" in written[0] and written[0] == written[1]
    assert file.stat().st_mode & 0o777 == 0o600
