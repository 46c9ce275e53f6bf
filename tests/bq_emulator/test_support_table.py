"""The support table in the docs says what the tables of the emulator say."""

from __future__ import annotations

from pathlib import Path

from bq_emulator.support_table import page

DOCS = Path(__file__).parents[2] / "docs" / "bigquery-emulator.md"


def test_the_support_table_is_fresh() -> None:
    assert DOCS.read_text() == page(), "run: python -m bq_emulator.support_table docs/bigquery-emulator.md"
