"""The command ``source-db`` as people and scripts call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "source-db")


def run(*arguments: str, dsn: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], env={**os.environ, "SOURCE_DB_DSN": dsn}, capture_output=True, text=True, timeout=120
    )


def test_seed_simulate_report_and_drift(database, tmp_path: Path) -> None:
    seeded = run("seed", "--scale", "0.02", "--report", str(tmp_path / "seed.json"), dsn=database.url)
    assert seeded.returncode == 0, seeded.stderr
    planted = json.loads((tmp_path / "seed.json").read_text())
    assert planted["rows"]["orders"] == 400
    found = run("report", "--json", dsn=database.url)
    assert json.loads(found.stdout) == planted["faults"]
    assert "payment_replays" in run("report", dsn=database.url).stdout

    refused = run("seed", "--scale", "0.02", dsn=database.url)
    assert refused.returncode == 1
    assert "holds rows already" in refused.stderr
    accepted = run("seed", "--scale", "0.02", "--if-empty", dsn=database.url)
    assert accepted.returncode == 0
    assert "holds rows already" in accepted.stdout

    lived = run("simulate", "--days", "2", "--report", str(tmp_path / "days.json"), dsn=database.url)
    assert lived.returncode == 0, lived.stderr
    days = json.loads((tmp_path / "days.json").read_text())["days"]
    assert [day["date"] for day in days] == ["2026-07-01", "2026-07-02"]
    assert all(day["changes"]["orders"] >= 2 and day["faults"]["late_orders"] >= 1 for day in days)

    drifted = run("drift", dsn=database.url)
    assert drifted.returncode == 0, drifted.stderr
    assert run("simulate", dsn=database.url).returncode == 0


def test_another_last_day(database) -> None:
    assert run("seed", "--scale", "0.02", "--until", "2025-03-31", dsn=database.url).returncode == 0
    assert "2025-04-01" in run("simulate", dsn=database.url).stdout


def test_a_database_without_tables_is_named_with_the_cure(database) -> None:
    for command in ("report", "simulate", "drift"):
        outcome = run(command, dsn=database.url)
        assert outcome.returncode == 1
        assert "users" in outcome.stderr and "source-db seed" in outcome.stderr


def test_bad_addresses_are_named_without_their_password(database) -> None:
    wrong = database.url.replace(database.password, "not-the-password")
    for dsn, named in ((wrong, database.name), ("postgresql://a:not-the-password@127.0.0.1:1/b", "127.0.0.1:1/b")):
        outcome = run("report", dsn=dsn)
        assert outcome.returncode == 1
        assert named in outcome.stderr and "SOURCE_DB_DSN" in outcome.stderr
        assert "not-the-password" not in outcome.stderr
    outcome = run("report", dsn="not an address")
    assert outcome.returncode == 1 and "SOURCE_DB_DSN" in outcome.stderr


def test_a_scale_too_small_for_every_fault_is_refused(database) -> None:
    outcome = run("seed", "--scale", "0.001", dsn=database.url)
    assert outcome.returncode == 2
    assert "0.02" in outcome.stderr
