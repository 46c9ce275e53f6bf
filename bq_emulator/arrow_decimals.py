"""BIGNUMERIC between DuckDB's BLOBs (see ``sql.bignumeric``) and Arrow's decimals of 256 bits.

Both hold a number of 10^-38 units in 32 bytes: Arrow as a little-endian two's complement, the BLOB as a big-endian
number shifted by 2^255. So one is the other reversed, with the highest bit flipped.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: As the Storage API has it (https://cloud.google.com/bigquery/docs/reference/storage#arrow_schema_details); the very
#: greatest BIGNUMERICs have one digit more.
BIGNUMERIC = pa.decimal256(76, 38)
_BYTES = 32


def from_blobs(array: pa.Array) -> pa.Array:
    """Decimals of a binary array of BLOBs."""
    fixed = pc.fill_null(array, bytes(_BYTES)).cast(pa.binary(_BYTES))
    return _rearranged(fixed, BIGNUMERIC, array, first=True)


def to_blobs(array: pa.Array) -> pa.Array:
    """BLOBs of an array of decimals.

    Raises:
        pa.ArrowInvalid: a value has more digits before or after the point than BIGNUMERIC.
    """
    fixed = pc.fill_null(array.cast(BIGNUMERIC), 0)
    return _rearranged(fixed, pa.binary(_BYTES), array, first=False).cast(pa.binary())


def _rearranged(fixed: pa.Array, kind: pa.DataType, source: pa.Array, first: bool) -> pa.Array:
    """``fixed`` with its bytes reversed and the highest bit, ``first`` or last of the source's, flipped."""
    start = fixed.offset * _BYTES
    raw = np.frombuffer(fixed.buffers()[1], np.uint8)[start : start + len(fixed) * _BYTES]
    reversed_bytes = raw.reshape(-1, _BYTES)[:, ::-1].copy()
    reversed_bytes[:, -1 if first else 0] ^= 0x80
    made = pa.Array.from_buffers(kind, len(fixed), [None, pa.py_buffer(reversed_bytes.tobytes())])
    return pc.if_else(source.is_valid(), made, pa.scalar(None, kind))


def decoded(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """``array`` with its BLOBs, however deep, turned into decimals where ``kind`` has them."""
    if pa.types.is_decimal256(kind):
        return from_blobs(array)
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(array.offsets, decoded(array.values, kind.value_type), mask=array.is_null())
    if pa.types.is_struct(kind):
        children = [decoded(child, member.type) for child, member in zip(array.flatten(), kind, strict=True)]
        return pa.StructArray.from_arrays(children, fields=_members(children, kind), mask=array.is_null())
    return array


def _members(children: list[pa.Array], kind: pa.StructType) -> list[pa.Field]:
    return [pa.field(member.name, child.type) for child, member in zip(children, kind, strict=True)]


def has_decimals(kind: pa.DataType) -> bool:
    """True for a decimal of 256 bits, or one within."""
    children = [kind.field(number).type for number in range(kind.num_fields)]
    return bool(pa.types.is_decimal256(kind)) or any(map(has_decimals, children))
