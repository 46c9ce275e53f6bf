"""FARM_FINGERPRINT without the library. Where there is none, test_sql_differential.py holds it against Google's own."""

from __future__ import annotations

import random

import pyarrow as pa
import pytest

from bq_emulator.sql.fingerprints import fingerprints

farmhash = pytest.importorskip("farmhash")


def test_values_of_every_length_are_hashed_as_by_the_library() -> None:
    chance = random.Random(1)
    values = [chance.randbytes(length) for length in (*range(400), 5_000, 64 * 100)]
    chance.shuffle(values)
    chunks = [pa.array([b"skipped", *values[:200]]).slice(1), pa.array([], pa.binary()), pa.array(values[200:])]

    assert fingerprints(pa.chunked_array(chunks)).tolist() == list(map(farmhash.Fingerprint64, values))
