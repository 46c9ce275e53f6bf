"""BIGNUMERIC: 76 digits, 38 of them after the point, which no type of DuckDB holds.

A value is a whole number of 10^-38 units in 32 bytes, big-endian and shifted by 2^255, so that the order of the bytes
is the order of the numbers: DuckDB compares, sorts, groups and joins BLOBs; only arithmetic comes here.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, localcontext

SCALE = 38
ONE = 10**SCALE
_SHIFT = 1 << 255
ZERO = Decimal(0)
_TEXT = re.compile(r"\s*([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,6}))?\s*")


def encode(units: int, what: str = "") -> bytes:
    """The BLOB of a number of units.

    Raises:
        ValueError: beyond ±2^255 units, naming ``what`` was computed.
    """
    if not -_SHIFT <= units < _SHIFT:
        raise ValueError(f"BIGNUMERIC overflow{f': {what}' if what else ''}")
    return (units + _SHIFT).to_bytes(32, "big")


def decode(value: bytes) -> int:
    """The units of a BLOB."""
    return int.from_bytes(value, "big") - _SHIFT


def rounded(numerator: int, denominator: int) -> int:
    """The quotient, half away from zero."""
    quotient = (2 * abs(numerator) + abs(denominator)) // (2 * abs(denominator))
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def units(value: Decimal) -> int:
    """A decimal in units, rounded half away from zero."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"Invalid BIGNUMERIC value: {value}")
    whole = int("".join(map(str, digits))) * (-1 if sign else 1)
    shift = exponent + SCALE
    return whole * 10**shift if shift >= 0 else rounded(whole, 10**-shift)


def text(value: bytes) -> str:
    """As CAST(… AS STRING) prints it."""
    number = decode(value)
    whole, fraction = divmod(abs(number), ONE)
    printed = f"{whole}.{fraction:038d}".rstrip("0").rstrip(".")
    return f"-{printed}" if number < 0 else printed


def parse(given: str) -> bytes:
    """As CAST(… AS BIGNUMERIC) reads it; digits beyond the 38th are rounded.

    Raises:
        ValueError: no number, or too large.
    """
    found = _TEXT.fullmatch(given)
    if found is None or not (found[2] or found[3]):
        raise ValueError(f"Invalid BIGNUMERIC value: {given}")
    sign, whole, fraction, exponent = found.groups()
    power = int(exponent or 0) - len(fraction)
    if power > 100:
        power = 100 if int(whole + fraction) else 0
    return encode(units(Decimal((int(sign == "-"), tuple(map(int, (whole + fraction).lstrip("0") or "0")), power))))


def from_double(value: float) -> bytes:
    """The double's exact value, rounded.

    Raises:
        ValueError: not finite, or too large.
    """
    if not math.isfinite(value):
        raise ValueError(f"Illegal conversion of non-finite floating point number to BIGNUMERIC: {value}")
    return encode(units(Decimal(value)), repr(value))


def to_double(value: bytes) -> float:
    return decode(value) / ONE


def to_int64(value: bytes) -> int:
    number = rounded(decode(value), ONE)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"int64 out of range: {text(value)}")
    return number


def to_numeric(value: bytes) -> str:
    """The text of the NUMERIC: nine digits after the point."""
    number = rounded(decode(value), 10 ** (SCALE - 9))
    if abs(number) >= 10**38:
        raise ValueError(f"numeric out of range: {text(value)}")
    with localcontext() as context:
        context.prec = 60
        return f"{Decimal(number).scaleb(-9):f}"


def add(left: bytes, right: bytes) -> bytes:
    return encode(decode(left) + decode(right), f"{text(left)} + {text(right)}")


def subtract(left: bytes, right: bytes) -> bytes:
    return encode(decode(left) - decode(right), f"{text(left)} - {text(right)}")


def multiply(left: bytes, right: bytes) -> bytes:
    return encode(rounded(decode(left) * decode(right), ONE), f"{text(left)} * {text(right)}")


def divide(left: bytes, right: bytes) -> bytes:
    divisor = decode(right)
    if divisor == 0:
        raise ValueError(f"division by zero: {text(left)} / {text(right)}")
    return encode(rounded(decode(left) * ONE, divisor), f"{text(left)} / {text(right)}")


def between(left: bytes, right: bytes, weight: bytes) -> bytes:
    """The value that lies a share of ``weight`` of the way from one to the other."""
    share = decode(weight)
    return encode(rounded(decode(left) * (ONE - share) + decode(right) * share, ONE))


def whole_quotient(left: bytes, right: bytes) -> bytes:
    """DIV."""
    number, divisor = decode(left), decode(right)
    if divisor == 0:
        raise ValueError(f"division by zero: {text(left)} / {text(right)}")
    quotient = abs(number) // abs(divisor) * ONE
    return encode(quotient if (number < 0) == (divisor < 0) else -quotient, f"DIV({text(left)}, {text(right)})")


def remainder(left: bytes, right: bytes) -> bytes:
    """MOD; the sign is the dividend's."""
    number, divisor = decode(left), decode(right)
    if divisor == 0:
        raise ValueError(f"division by zero: {text(left)} / {text(right)}")
    rest = abs(number) % abs(divisor)
    return encode(-rest if number < 0 else rest)


def negate(value: bytes) -> bytes:
    return encode(-decode(value), f"-({text(value)})")


def absolute(value: bytes) -> bytes:
    return encode(abs(decode(value)), f"ABS({text(value)})")


def sign(value: bytes) -> bytes:
    number = decode(value)
    return encode(ONE * ((number > 0) - (number < 0)))


def _step(digits: int) -> int:
    """The unit of a rounding to ``digits`` after the point."""
    return 10 ** min(max(SCALE - digits, 0), 100)


def round_half_away(value: bytes, digits: int) -> bytes:
    step = _step(digits)
    return encode(rounded(decode(value), step) * step, f"ROUND({text(value)}, {digits})")


def truncate(value: bytes, digits: int) -> bytes:
    number, step = decode(value), _step(digits)
    cut = abs(number) // step * step
    return encode(-cut if number < 0 else cut)


def ceil(value: bytes) -> bytes:
    return encode(-(-decode(value) // ONE) * ONE, f"CEIL({text(value)})")


def floor(value: bytes) -> bytes:
    return encode(decode(value) // ONE * ONE, f"FLOOR({text(value)})")


def total(values: list[bytes | None]) -> bytes | None:
    """SUM: NULLs are skipped; NULL for nothing."""
    numbers = [decode(value) for value in values if value is not None]
    return encode(sum(numbers), "SUM") if numbers else None


def mean(values: list[bytes | None]) -> bytes | None:
    """AVG: NULLs are skipped; NULL for nothing."""
    numbers = [decode(value) for value in values if value is not None]
    return encode(rounded(sum(numbers), len(numbers)), "AVG") if numbers else None


def within(value: bytes, precision: int, scale: int, where: str) -> bytes:
    """``value`` as BIGNUMERIC(precision, scale): rounded to the scale. ``where`` begins the error's text.

    Raises:
        ValueError: more digits before the point than the precision leaves.
    """
    cut = decode(round_half_away(value, scale))
    if abs(cut) >= 10 ** (precision - scale) * ONE:
        limit = f"{'9' * (precision - scale) or '0'}{'.' + '9' * scale if scale else ''}"
        raise ValueError(
            f"{where}BIGNUMERIC({precision}, {scale}) has precision {precision} and scale {scale} "
            f"but got a value that is not in range of [-{limit}, {limit}]"
        )
    return encode(cut)
