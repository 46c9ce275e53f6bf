"""What the stack does again on its way up, and what it leaves as it is."""

import os
import shutil
from pathlib import Path

import pytest
from real_services import ROOT

from local_stack import settings, stack


def test_the_manifest_is_made_again_after_a_change_of_the_project_and_not_of_what_dbt_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "dbt", tmp_path / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setattr(stack, "ROOT", tmp_path)
    current = settings.load(tmp_path / "stack", {})
    current.dbt_manifest.parent.mkdir(parents=True)
    current.dbt_manifest.touch()

    def is_made() -> bool:
        started: list[str] = []
        stack._manifest(current, lambda title, *_: started.append(title))
        return bool(started)

    def write(file: str) -> None:
        (tmp_path / "dbt" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dbt" / file).touch()
        later = current.dbt_manifest.stat().st_mtime + 5
        os.utime(tmp_path / "dbt" / file, (later, later))

    assert not is_made()
    write("target/compiled/marketplace/models/marts/sales/fct_orders.sql")
    assert not is_made(), "`make dbt` compiled a model"
    for file in ("models/marts/sales/fct_orders.sql", "dbt_project.yml"):
        write(file)
        assert is_made(), file
        later = current.dbt_manifest.stat().st_mtime + 10
        os.utime(current.dbt_manifest, (later, later))
