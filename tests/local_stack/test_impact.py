"""What `make impact` says of a change: models, what is built on them, the marts' rows, the connections."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from real_services import BIN, ROOT
from rich.console import Console

from local_stack.board import Board
from local_stack.impact import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def copy_of_project(folder: Path) -> Path:
    for name in ("dbt", "airbyte"):
        shutil.copytree(
            ROOT / name,
            folder / name,
            ignore=shutil.ignore_patterns("target", "logs", "server", "connectors", "__pycache__"),
        )
    return folder


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert text.count(before) == 1, f"{before!r} is {text.count(before)} times in {file}"
    file.write_text(text.replace(before, after))


def test_a_change_is_told_with_what_it_does_to_rows_values_and_connections(service_dir: Path) -> None:
    base, change = copy_of_project(service_dir / "base"), copy_of_project(service_dir / "change")
    # One value of a column, some rows less, the gate that would notice, and a stream taken out.
    edit(
        change / "dbt/models/marts/sellers/dim_seller_tiers.sql",
        "from {{ ref('int_seller_tiers__scd2') }}",
        "from {{ ref('int_seller_tiers__scd2') }}\nwhere tier != 'bronze' or not is_current",
    )
    edit(change / "dbt/models/marts/sellers/dim_seller_tiers.sql", "    change_reason,", "    'x' as change_reason,")
    edit(
        change / "dbt/models/marts/sellers/_sellers__models.yml",
        "      - accounts_for_every_row:\n          name: gate_marts__seller_tiers_complete\n"
        "          arguments: {upstream: int_seller_tiers__scd2}\n",
        "      []\n",
    )
    edit(
        change / "airbyte/connections/marketplace_postgres_to_bigquery/configuration.yaml",
        "      - stream: {name: reviews, namespace: public}\n        config:\n          sync_mode: full_refresh\n"
        "          destination_sync_mode: overwrite\n",
        "",
    )
    with Board(Console(quiet=True)) as board:
        told = run.of_folders(base, change, board, "0.02")
    assert "- **dim_seller_tiers** changed" in told
    assert "- people will see it in: Seller performance (tell Seller success)" in told
    assert "- test **gate_marts__seller_tiers_complete** removed" in told
    row = re.search(r"\| dim_seller_tiers \| (\d+) \| (\d+) \| 0 \| (\d+) \| (\d+) \|", told)
    assert row, told
    before, after, removed, differing = map(int, row.groups())
    assert removed > 0 and after == before - removed and 0 < differing <= after
    assert re.search(rf'\| change_reason \| {differing} \| such as .* → "x" \|', told), told
    assert "reviews" in told.split("### Connections")[1]
    assert "fct_orders" not in told, "not downstream of the change"


def test_a_base_that_git_does_not_know_is_refused_by_name() -> None:
    done = subprocess.run(
        [BIN / "local-stack", "impact", "--base", "no-such-commit"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "BASE=no-such-commit" in done.stderr
