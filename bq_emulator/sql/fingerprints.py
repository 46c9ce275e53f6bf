"""FarmHash's Fingerprint64 of many values at once, in NumPy.

https://github.com/google/farmhash (``farmhashna::Hash64``). Of values of 500 bytes it takes five times as long as the
library, which has no wheels for Python 3.14.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]

_K0, _K1, _K2 = (np.uint64(k) for k in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))
_BLOCK = 64


def fingerprints(values: pa.ChunkedArray) -> Words:
    """Of BYTES without NULLs."""
    parts = [_of_chunk(chunk) for chunk in values.chunks]
    return np.concatenate([np.empty(0, np.uint64), *parts])


def _of_chunk(chunk: pa.Array) -> Words:
    chunk = chunk.cast(pa.large_binary())
    _, offsets, data = chunk.buffers()
    ends = np.frombuffer(offsets, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    starts, lengths = ends[:-1], np.diff(ends)
    # Eight bytes can be fetched from where any value begins.
    buffer = np.zeros(int(ends[-1]) + 8, np.uint8)
    buffer[: int(ends[-1])] = np.frombuffer(data or b"", np.uint8, int(ends[-1]))
    words = np.ndarray(len(buffer) - 7, np.dtype("<u8"), buffer, strides=(1,))
    found = np.full(len(chunk), _K2)
    with np.errstate(over="ignore"):
        for low, high, hash_ in ((1, 3, _to_3), (4, 7, _to_7), (8, 16, _to_16), (17, 32, _to_32), (33, 64, _to_64)):
            (which,) = np.nonzero((lengths >= low) & (lengths <= high))
            if len(which):
                found[which] = hash_(words, starts[which], lengths[which])
        (which,) = np.nonzero(lengths > _BLOCK)
        if len(which):
            # Longest first: the first of them are those that have another block.
            which = which[np.argsort(-lengths[which], kind="stable")]
            found[which] = _longer(words, starts[which], lengths[which])
    return found


def _rotated(word: Words, bits: int) -> Words:
    return (word >> np.uint64(bits)) | (word << np.uint64(64 - bits))


def _mixed(word: Words) -> Words:
    return word ^ (word >> np.uint64(47))


def _of_two(u: Words, v: Words, mul: Words) -> Words:
    return _mixed((v ^ _mixed((u ^ v) * mul)) * mul) * mul


def _mul(lengths: Places) -> Words:
    return _K2 + lengths.astype(np.uint64) * np.uint64(2)


def _to_3(words: Words, starts: Places, lengths: Places) -> Words:
    byte = np.uint64(0xFF)
    first, middle, last = (words[starts + at] & byte for at in (0, lengths >> 1, lengths - 1))
    y = first + (middle << np.uint64(8))
    z = lengths.astype(np.uint64) + (last << np.uint64(2))
    return _mixed(y * _K2 ^ z * _K0) * _K2


def _to_7(words: Words, starts: Places, lengths: Places) -> Words:
    half = np.uint64(0xFFFFFFFF)
    first, last = words[starts] & half, words[starts + lengths - 4] & half
    return _of_two(lengths.astype(np.uint64) + (first << np.uint64(3)), last, _mul(lengths))


def _to_16(words: Words, starts: Places, lengths: Places) -> Words:
    mul = _mul(lengths)
    a, b = words[starts] + _K2, words[starts + lengths - 8]
    return _of_two(_rotated(b, 37) * mul + a, (_rotated(a, 25) + b) * mul, mul)


def _to_32(words: Words, starts: Places, lengths: Places) -> Words:
    mul = _mul(lengths)
    a, b = words[starts] * _K1, words[starts + 8]
    c, d = words[starts + lengths - 8] * mul, words[starts + lengths - 16] * _K2
    return _of_two(_rotated(a + b, 43) + _rotated(c, 30) + d, a + _rotated(b + _K2, 18) + c, mul)


def _to_64(words: Words, starts: Places, lengths: Places) -> Words:
    mul, ends = _mul(lengths), starts + lengths
    a, b = words[starts] * _K2, words[starts + 8]
    c, d = words[ends - 8] * mul, words[ends - 16] * _K2
    y = _rotated(a + b, 43) + _rotated(c, 30) + d
    z = _of_two(y, a + _rotated(b + _K2, 18) + c, mul)
    e, f = words[starts + 16] * mul, words[starts + 24]
    g, h = (y + words[ends - 32]) * mul, (z + words[ends - 24]) * mul
    return _of_two(_rotated(e + f, 43) + _rotated(g, 30) + h, e + _rotated(f + a, 18) + g, mul)


def _longer(words: Words, starts: Places, lengths: Places) -> Words:
    """``lengths`` do not grow."""
    y = np.full(len(starts), np.uint64(81) * _K1 + np.uint64(113))
    #: The algorithm's x, y, z, and its pairs v and w; a column a value.
    state = np.zeros((7, len(starts)), np.uint64)
    state[0] = np.uint64(81) * _K2 + words[starts]
    state[1] = y
    state[2] = _mixed(y * _K2 + np.uint64(113)) * _K2
    blocks = (lengths - 1) // _BLOCK
    for block in range(int(blocks[0])):
        count = int(np.searchsorted(-blocks, -block))
        state[:, :count] = _round(words, starts[:count] + block * _BLOCK, state[:, :count], _K1, 1)
    mul = _K1 + ((state[2] & np.uint64(0xFF)) << np.uint64(1))
    state[5] += (lengths - 1).astype(np.uint64) & np.uint64(63)
    state[3] += state[5]
    state[5] += state[3]
    x, y, z, v0, v1, w0, w1 = _round(words, starts + lengths - _BLOCK, state, mul, 9)
    return _of_two(_of_two(v0, w0, mul) + _mixed(y) * _K0 + z, _of_two(v1, w1, mul) + x, mul)


def _round(words: Words, at: Places, state: Words, mul: Words | np.uint64, times: int) -> tuple[Words, ...]:
    """``state`` after the block of each value that begins at ``at``."""
    x, y, z, v0, v1, w0, w1 = state
    s = [words[at + 8 * place] for place in range(8)]
    x = _rotated(x + y + v0 + s[1], 37) * mul
    y = _rotated(y + v1 + s[6], 42) * mul
    x ^= w1 * np.uint64(times)
    y += v0 * np.uint64(times) + s[5]
    z = _rotated(z + w0, 33) * mul
    v0, v1 = _weak(s[0], s[1], s[2], s[3], v1 * mul, x + w0)
    w0, w1 = _weak(s[4], s[5], s[6], s[7], z + w1, y + s[2])
    return z, y, x, v0, v1, w0, w1


def _weak(w: Words, x: Words, y: Words, z: Words, a: Words, b: Words) -> tuple[Words, Words]:
    a = a + w
    b = _rotated(b + a + z, 21)
    c = a + x + y
    return c + z, b + _rotated(c, 44) + a
