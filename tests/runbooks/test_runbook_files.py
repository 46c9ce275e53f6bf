"""Alerts and runbooks are one to one, and nothing in a runbook is dead: links, commands, targets."""

from __future__ import annotations

import re
import shlex
import sys

import pytest
import runbook_files
from real_services import BIN, ROOT
from runbook_files import RUNBOOKS, SECTIONS, fences, read

sys.path.append(str(ROOT / "airflow" / "include"))

from marketplace_pipeline.alerts.classify import _OTHERWISE, _RULES
from marketplace_pipeline.alerts.registry import ALERTS

PROCEDURES = {
    "Backfill", "DuplicateOrdersReported", "EraseUser", "FullRebuild", "RestoreAfterBadDeploy", "RotateCredentials",
}  # fmt: skip
#: Runbooks with a command that is not run in the suite, as the emulator bills nobody.
NEED_GOOGLE = {"WarehouseUnavailable"}
FILES = sorted(runbook_files.names())


def test_every_alert_has_its_runbook_and_every_runbook_an_alert_or_a_procedure() -> None:
    assert set(FILES) == set(ALERTS) | PROCEDURES
    index = read("README")
    alerts, _, procedures = index.partition("## Procedures")
    assert re.findall(r"^\| \[(\w+)\]\(\1\.md\)", alerts, re.MULTILINE) == list(ALERTS)
    assert set(re.findall(r"^\| \[(\w+)\]\(\1\.md\)", procedures, re.MULTILINE)) == PROCEDURES


def test_failures_lead_only_to_alerts_that_exist() -> None:
    assert {alert for _, _, alert in _RULES} | {_OTHERWISE} <= set(ALERTS)


@pytest.mark.parametrize("name", FILES)
def test_a_runbook_has_its_sections_and_nothing_dead(name: str) -> None:
    text = read(name)
    assert text.startswith(f"# {name}\n")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == SECTIONS
    for section in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]:
        assert section.strip()
    for info, block in fences(text):
        assert info in ("sh", "sh google", "text"), f"nobody knows what {info!r} is"
        for line in block.splitlines() if info.startswith("sh") else ():
            _require_command(line)
    for mentioned in re.findall(r"\b([A-Z]\w+)\.md\b", text):
        assert (RUNBOOKS / f"{mentioned}.md").exists(), mentioned
    for path in re.findall(r"`((?:docs|airbyte|dbt|tests)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path
    assert any(info == "sh" for info, _ in fences(text)), "nothing to copy"


def test_commands_that_the_suite_cannot_run_are_few_and_known() -> None:
    assert {name for name in FILES if "sh google" in (info for info, _ in fences(read(name)))} == NEED_GOOGLE


def test_links_of_the_index_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", read("README")):
        assert runbook_files.path_of(link, RUNBOOKS).exists(), link


def _require_command(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets, f"make has no target {words[1]}"
    elif words[0].startswith(".venv/bin/"):
        assert (BIN / words[0].removeprefix(".venv/bin/")).exists(), words[0]
        if words[1:2] == ["exec"]:
            assert (BIN / words[2]).exists(), words[2]
    else:
        assert words[0] in ("git", "echo", "sed", "touch"), f"{words[0]} is not on every machine"
