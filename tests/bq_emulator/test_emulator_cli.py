"""``bq-emulator``'s options."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from click.testing import CliRunner
from emulator_server import Server
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from bq_emulator.cli import is_loopback, main

#: What GoogleSQL has and BigQuery has not.
BEYOND_BIGQUERY = {
    "SELECT 1 AS a, a + 1 AS b": "Unrecognized name: a",
    "SELECT [1] = [1]": "Equality is not defined for arguments of type ARRAY<INT64>",
    "SELECT a FROM UNNEST([STRUCT([1] AS a)]) ORDER BY a": "ORDER BY does not support expressions of type ARRAY",
    "SELECT b'a' = 'a'": "No matching signature for operator =",
    "SELECT PI()": "Function not found: PI",
    "SELECT ZEROIFNULL(NULL)": "Function not found: ZEROIFNULL",
}


def test_a_lenient_analyzer_takes_what_a_strict_one_refuses(tmp_path: Path, bigquery_client: bigquery.Client) -> None:
    for sql, message in BEYOND_BIGQUERY.items():
        with pytest.raises(BadRequest, match=message):
            bigquery_client.query_and_wait(sql)
    server = Server(tmp_path, "--analyzer", "lenient", "--log-format", "console", "--log-level", "warning")
    server.start()
    try:
        for sql in BEYOND_BIGQUERY:
            assert server.query(sql).status_code == 200, sql
        assert server.query("SELECT 1 / 0").status_code == 400
        server.kill(signal.SIGTERM)  # the lines come after the answers
    finally:
        server.end()
    log = (tmp_path / "log").read_text()
    assert "job failed" in log and "job done" not in log and "{" not in log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--project", "a/b"], "Invalid value for '--project': 'a/b' is not a name"),
        (["--project", "p", "--port", "70000"], "Invalid value for '--port'"),
        (["--project", "p", "--analyzer", "loose"], "'loose' is not one of 'strict', 'lenient'"),
        (["--project", "p", "--log-level", "loud"], "Invalid value for '--log-level'"),
        (["--project", "p", "--memory-limit", "much"], "neither a share such as 25% nor a size such as 4GB"),
        ([], "Missing option '--project'"),
    ],
)
def test_wrong_options_are_told(tmp_path: Path, options: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["--data-dir", str(tmp_path), *options])
    assert result.exit_code == 2 and message in result.output


def test_only_loopback_goes_without_a_warning() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.com"))
