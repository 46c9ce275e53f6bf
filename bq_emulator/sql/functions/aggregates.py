"""Aggregate functions, alone and over windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bq_emulator.model import BigQueryError
from bq_emulator.sql.functions.spec import Call, is_atomic
from bq_emulator.sql.statistics import NO_CORRELATION
from bq_emulator.sql.types import Type

if TYPE_CHECKING:
    from bq_emulator.sql.translate.context import Context


@dataclass
class Beneath:
    """The SELECT from which aggregate or window functions read: its ``items`` (text, name) may grow by window
    functions over the rows of the same group, whose keys are ``keys``."""

    context: Context
    items: list[tuple[str, str]]
    keys: list[str]

    def computed(self, text: str) -> str:
        """The name of what is more than a column or constant, so that it is computed once however often it is read."""
        if is_atomic(text):
            return text
        for known, name in self.items:
            if known == text:
                return name
        self.items.append((text, self.context.fresh("_w")))
        return self.items[-1][1]

    @property
    def partition(self) -> str:
        return f"PARTITION BY {', '.join(self.keys)}" if self.keys else ""

    def over_group(self, call: str) -> str:
        """The name of ``call`` over all rows of the group."""
        return self.computed(f"{call} OVER ({self.partition})")


@dataclass
class AggregateCall(Call):
    """``order_by`` are finished sort keys; ``having`` is (MAX or MIN, text, type); ``over`` the window, "" outside
    one."""

    beneath: Beneath

    distinct: bool = False
    nulls: str = "DEFAULT_NULL_HANDLING"
    order_by: list[str] = field(default_factory=list)
    limit: str | None = None
    having: tuple[str, str, Type] | None = None
    where: str | None = None
    over: str | None = None

    def build(self, function: str, args: list[str] | None = None, *, where: str | None = None) -> str:
        """``function`` of ``args`` (the call's own unless given) with DISTINCT, ORDER BY, filter and window."""
        texts = self.args if args is None else args
        inside = f"{'DISTINCT ' if self.distinct else ''}{', '.join(texts)}"
        if self.order_by and not self.over and function != "count":
            inside += f" ORDER BY {', '.join(self.order_by)}"
        text = f"{function}({inside})"
        conditions = [each for each in (self.where, where, self._extremal()) if each]
        if conditions:
            text += f" FILTER (WHERE {' AND '.join(conditions)})"
        return f"{text} OVER {self.over}" if self.over else text

    def _extremal(self) -> str | None:
        """The condition of HAVING MAX or MIN. Nothing equals the extremum where one of the keys is NaN."""
        if self.having is None:
            return None
        kind, key, of = self.having
        where = f" FILTER (WHERE {self.where})" if self.where else ""
        equal = f"{key} = {self.beneath.over_group(f'{kind.lower()}({key}){where}')}"
        if of.name != "FLOAT64":
            return equal
        return f"{equal} AND NOT {self.beneath.over_group(f'bool_or(isnan({key})){where}')}"

    def refuse(self, what: str) -> BigQueryError:
        message = f"{self.name.removeprefix('FN_')} with {what} is not supported by this emulator"
        return BigQueryError("notImplemented", message, "query")

    def plain(self) -> None:
        """Refuse the modifiers that only some aggregates translate."""
        if self.limit is not None:
            raise self.refuse("LIMIT")


Template = Callable[[AggregateCall], str]


def _named(function: str, cast: str | None = None) -> Template:
    def build(call: AggregateCall) -> str:
        call.plain()
        text = call.build(function)
        return f"CAST({text} AS {cast})" if cast else text

    return build


def _count(call: AggregateCall) -> str:
    call.plain()
    return call.build("count")


def _count_star(call: AggregateCall) -> str:
    return call.build("count", ["*"])


def _countif(call: AggregateCall) -> str:
    call.plain()
    if call.distinct:
        return call.build("count", [f"nullif({call.args[0]}, false)"])
    return call.build("count", ["*"], where=call.args[0])


#: Google adds NUMERICs in a wider type, where DuckDB's sum of DECIMAL(38,9) ends at 1.7·10^29. So those that a sum of
#: a thousand million could not hold, if there are any, are added in whole numbers by Python.
_LARGE = "100000000000000000000::DECIMAL(38,9)"


def _numeric(function: str) -> Template:
    """``function`` of the sum of the small values, the large ones (NULL for none), and the number of both."""

    def build(call: AggregateCall) -> str:
        call.plain()
        value = call.beneath.computed(call.args[0])
        small = call.build("sum", [value], where=f"abs({value}) < {_LARGE}")
        large = call.build("list", [value], where=f"abs({value}) >= {_LARGE}")
        count = [call.build("count", [value])] if "{2}" in function else []
        return call.context.apply(function, [small, large, *count])

    return build


#: A power of two that takes overflow from sums, and one that takes it from squares; it changes no digit.
_SUM_SCALE, _SQUARE_SCALE = 2.0**200, 2.0**600


def _double(function: str, scale: float, back: str) -> Template:
    """``function``, and where that is not finite the same of scaled values, scaled ``back``: what overflows on the way
    is told apart from infinities and NaNs among the values."""

    def build(call: AggregateCall) -> str:
        call.plain()
        values = [call.beneath.computed(each) for each in call.args]
        scaled = call.build(function, [f"{each} * {1 / scale!r}::DOUBLE" for each in values])
        return call.context.apply(
            f"CASE WHEN isfinite({{0}}) OR {{0}} IS NULL THEN {{0}} ELSE {back} END",
            [call.build(function, values), scaled],
        )

    return build


_ROOT = f"{_SQUARE_SCALE!r}::DOUBLE"
#: Of infinities there is no statistic.
_FINITE = "CASE WHEN isfinite({{1}}) THEN {{1}}{} ELSE 'nan'::DOUBLE END"
_DOUBLE_STATISTICS = {
    **{f"stddev_{kind}": _FINITE.format(f" * {_ROOT}") for kind in ("pop", "samp")},
    **{
        f"{name}_{kind}": _FINITE.format(f" * {_ROOT} * {_ROOT}")
        for name in ("var", "covar")
        for kind in ("pop", "samp")
    },
}


def _correlation(call: AggregateCall) -> str:
    """CORR of FLOAT64; NULL for fewer than two pairs, where DuckDB gives NaN."""
    found = _double("corr", _SQUARE_SCALE, _FINITE.format(""))(call)
    pairs = call.build("regr_count", [call.beneath.computed(each) for each in call.args])
    return call.context.apply("CASE WHEN {0} > 1 THEN {1} END", [pairs, found])


def _exact(kind: str, name: str) -> Template:
    """A statistic of NUMERIC or BIGNUMERIC, by Python, of the list of all values."""

    def build(call: AggregateCall) -> str:
        call.plain()
        function, value, where = f"bq_{kind}_statistic", call.args[0], None
        if len(call.args) > 1:
            function = f"bq_{kind}_correlation"
            x, y = (call.beneath.computed(each) for each in call.args)
            value, where = f"struct_pack(x := {x}, y := {y})", f"{x} IS NOT NULL AND {y} IS NOT NULL"
        text = f"{function}('{name}', {call.build('list', [value], where=where)})"
        if name != "corr":
            return text
        return call.context.apply(f"CASE WHEN {{0}} = {NO_CORRELATION} THEN 'nan'::DOUBLE ELSE {{0}} END", [text])

    return build


def _extremum(function: str) -> Template:
    """MIN and MAX; a FLOAT64 NaN wins both (DuckDB thinks it the greatest)."""

    def build(call: AggregateCall) -> str:
        call.plain()
        text = call.build(function)
        if function == "min" and call.type(0).name == "FLOAT64":
            any_nan = call.build("bool_or", [f"isnan({call.args[0]})"])
            return f"CASE WHEN {any_nan} THEN 'nan'::DOUBLE ELSE {text} END"
        return text

    return build


def any_value(call: AggregateCall) -> str:
    """ANY_VALUE, and with HAVING, where no window function is needed, one pass over the rows."""
    if call.having is None or call.having[2].name == "FLOAT64":
        return call.build("any_value")
    kind, key, _ = call.having
    call.having = None
    call.order_by = [f"{key} {'DESC' if kind == 'MAX' else 'ASC'}"]
    return call.build("first", call.args[:1], where=f"{key} IS NOT NULL")


def _array_agg(call: AggregateCall) -> str:
    """NULL for no rows. NULL elements stay, as in Google's evaluator; only a result may not hold them."""
    skip = f"{call.args[0]} IS NOT NULL" if call.nulls == "IGNORE_NULLS" else None
    if call.limit == "1::BIGINT" and call.order_by and not call.distinct:
        # The whole group need not be kept, let alone sorted.
        return f"CASE WHEN {call.build('count', ['*'], where=skip)} > 0 THEN [{call.build('first', where=skip)}] END"
    text = call.build("list", where=skip)
    return f"list_slice({text}, 1, {call.limit})" if call.limit is not None else text


def _string_agg(call: AggregateCall) -> str:
    separator = call.args[1] if len(call.args) > 1 else "','"
    if call.limit is None:
        return call.build("string_agg", [call.args[0], separator])
    items = call.build("list", [call.args[0]], where=f"{call.args[0]} IS NOT NULL")
    return f"array_to_string(list_slice({items}, 1, {call.limit}), {separator})"


def _array_concat_agg(call: AggregateCall) -> str:
    text = call.build("list", where=f"{call.args[0]} IS NOT NULL")
    return f"flatten(list_slice({text}, 1, {call.limit}))" if call.limit is not None else f"flatten({text})"


AGGREGATE: dict[str, Template] = {
    "FN_COUNT_STAR": _count_star,
    "FN_COUNT": _count,
    "FN_COUNTIF": _countif,
    "FN_APPROX_COUNT_DISTINCT": lambda call: call.build("count", [f"DISTINCT {call.args[0]}"]),
    "FN_SUM_INT64": _named("sum", "BIGINT"),
    "FN_SUM_DOUBLE": _double("sum", _SUM_SCALE, "bq_float_total({1})"),
    "FN_SUM_NUMERIC": _numeric(
        "CASE WHEN {1} IS NULL THEN CAST({0} AS DECIMAL(38,9)) "
        "ELSE bq_from_units(bq_numeric_total(bq_units({0}), {1})) END"
    ),
    "FN_AVG_INT64": _named("avg"),
    "FN_AVG_DOUBLE": _double("avg", _SUM_SCALE, f"{{1}} * {_SUM_SCALE!r}::DOUBLE"),
    "FN_AVG_NUMERIC": _numeric(
        "CASE WHEN {1} IS NULL THEN bq_numeric_avg({0}, {2}) "
        "ELSE bq_from_units(bq_numeric_mean(bq_units({0}), {1}, {2})) END"
    ),
    "FN_MIN": _extremum("min"),
    "FN_MAX": _extremum("max"),
    "FN_ANY_VALUE": any_value,
    "FN_ARRAY_AGG": _array_agg,
    "FN_ARRAY_CONCAT_AGG": _array_concat_agg,
    "FN_STRING_AGG_STRING": _string_agg,
    "FN_STRING_AGG_DELIM_STRING": _string_agg,
    "FN_LOGICAL_OR": _named("bool_or"),
    "FN_LOGICAL_AND": _named("bool_and"),
    "FN_BIT_AND_INT64": _named("bit_and"),
    "FN_BIT_OR_INT64": _named("bit_or"),
    "FN_BIT_XOR_INT64": _named("bit_xor"),
    "FN_CORR": _correlation,
    **{f"FN_{name.upper()}": _double(name, _SQUARE_SCALE, back) for name, back in _DOUBLE_STATISTICS.items()},
    **{
        f"FN_{name.upper()}_{kind}": _exact(prefix, name)
        for name in ("corr", *_DOUBLE_STATISTICS)
        for kind, prefix in (("NUMERIC", "numeric"), ("BIGNUMERIC", "big"))
    },
}
