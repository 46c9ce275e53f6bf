"""Hash functions that DuckDB lacks, an Arrow array of BYTES at a time."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from bq_emulator.sql.fingerprints import fingerprints

try:
    from farmhash import Fingerprint64
except ImportError:
    Fingerprint64 = None


def farm_fingerprint(values: pa.ChunkedArray) -> pa.Array:
    """FarmHash's Fingerprint64 as INT64; at 0.2 µs a value.
    https://cloud.google.com/bigquery/docs/reference/standard-sql/hash_functions#farm_fingerprint"""
    found = map(Fingerprint64, values.to_pylist()) if Fingerprint64 else fingerprints(values)
    return pa.array(found, pa.uint64()).view(pa.int64())


def sha512(values: pa.ChunkedArray) -> pa.Array:
    return pa.array((hashlib.sha512(value).digest() for value in values.to_pylist()), pa.binary())
