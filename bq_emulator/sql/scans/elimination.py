"""Partition elimination: what a condition in a query says about which partitions of a table can hold matching rows.

https://cloud.google.com/bigquery/docs/querying-partitioned-tables: the condition must compare the partition column, or
a function of it that never falls, with something constant: literals, parameters, a script's variables and functions of
them; subqueries and other columns are not. Where all rows of a partition share one value of the column, any condition
on nothing but that column will do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from zetasql.wasi._pb2.zetasql.public.functions import datetime_pb2

from bq_emulator.sql import literal, types
from bq_emulator.sql.resolved import Node, children
from bq_emulator.sql.translate.context import Context
from bq_emulator.sql.translate.expr import expression

#: Stand for the least and the greatest value of the partition column in a partition, in DuckDB text.
LOW, HIGH = '"@low"', '"@high"'
#: Stands for either.
BOUND = '"@bound"'

_COMPARISONS = {
    "$equal": "=", "$not_equal": "<>", "$less": "<", "$less_or_equal": "<=", "$greater": ">", "$greater_or_equal": ">=",
}  # fmt: skip
_FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED = {"=": "<>", "<>": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
#: Functions of a date or time that never fall as their first argument rises.
_RISING = {
    "date", "datetime", "timestamp", "date_trunc", "datetime_trunc", "timestamp_trunc", "last_day", "$extract_date",
    "date_add", "date_sub", "datetime_add", "datetime_sub", "timestamp_add", "timestamp_sub",
    "unix_date", "unix_seconds", "unix_millis", "unix_micros",
}  # fmt: skip
_RISING_PARTS = ("YEAR", "ISOYEAR")
_NUMBERS = ("INT64", "NUMERIC", "BIGNUMERIC", "FLOAT64")
_TIMES = ("DATE", "DATETIME", "TIMESTAMP")
#: Another value at each call, so nothing can be known beforehand.
_VOLATILE = {"rand", "generate_uuid", "error"}


@dataclass(frozen=True)
class Carried:
    """A column that is a function of a partition column, as DuckDB text over :data:`BOUND`; it is one of the two at
    least: ``exact``, if all rows of a partition share its value; it ``rises``, if it never falls as the partition
    column rises. ``nullable``: an outer join may put NULL in its place, so only conditions that fail for NULL say
    something."""

    text: str
    exact: bool
    rises: bool = True
    nullable: bool = False

    def in_outer_join(self) -> Carried | None:
        return replace(self, exact=False, nullable=True) if self.rises else None


@dataclass(frozen=True)
class Condition:
    """``text`` is true, over :data:`LOW` and :data:`HIGH`, of every partition that may hold matching rows. ``filters``:
    it is a filter on the partition column. ``whole``: rows of a partition match all or none."""

    text: str
    filters: bool = True
    whole: bool = False


#: Of a condition that no row meets.
NEVER = Condition("coalesce(false, false)", filters=False, whole=True)

Keys = Mapping[int, Carried]


def function(node: Node) -> str | None:
    """The name of the function that ``node`` calls without SAFE."""
    if node.kind != "FunctionCall" or node.error_mode != "DEFAULT_ERROR_MODE":
        return None
    return str(node.function.name).removeprefix("ZetaSQL:")


def conjuncts(node: Node) -> list[Node]:
    """The operands of AND, or ``node`` alone."""
    if function(node) != "$and":
        return [node]
    return [part for operand in node.argument_list for part in conjuncts(operand)]


def column_ids(node: Node) -> set[int]:
    """The columns an expression refers to, those in its subqueries among them."""
    return {each.column.column_id for each in _nodes(node) if each.kind == "ColumnRef"}


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _nodes(child)


def _is_fixed(node: Node) -> bool:
    """Whether an expression has a value that only the columns it names decide."""
    for each in _nodes(node):
        if each.kind in ("SubqueryExpr", "AggregateFunctionCall", "AnalyticFunctionCall"):
            return False
        if each.kind == "FunctionCall" and each.function.name.removeprefix("ZetaSQL:") in _VOLATILE:
            return False
    return True


def _constant(context: Context, node: Node) -> str | None:
    return expression(context, node) if not column_ids(node) and _is_fixed(node) else None


def _substituted(context: Context, node: Node, keys: Keys) -> str:
    texts = {identifier: carried.text for identifier, carried in keys.items()}
    return expression(replace(context, overrides={**context.overrides, **texts}), node)


def carried(context: Context, node: Node, keys: Keys) -> Carried | None:
    """What an expression over columns that are carried carries itself."""
    found = column_ids(node)
    if not found or not found <= set(keys):
        return None
    used = [keys[identifier] for identifier in found]
    exact = all(each.exact for each in used) and _is_fixed(node)
    rises = all(each.rises for each in used) and _rises(context, node, keys)
    if not exact and not rises:
        return None
    return Carried(_substituted(context, node, keys), exact, rises, any(each.nullable for each in used))


def _rises(context: Context, node: Node, keys: Keys) -> bool:
    if node.kind == "ColumnRef":
        return node.column.column_id in keys
    if node.kind == "Cast":
        source, target = types.from_proto(node.expr.type).name, types.from_proto(node.type).name
        alike = any(source in group and target in group for group in (_NUMBERS, _TIMES))
        return alike and node.format is None and _rises(context, node.expr, keys)
    name = function(node)
    if name not in _RISING and not (name == "$extract" and _part(node.argument_list[1]) in _RISING_PARTS):
        return False
    first, *others = node.argument_list
    return _rises(context, first, keys) and all(_constant(context, each) is not None for each in others)


def _part(node: Node) -> str:
    """The date part that a literal argument is."""
    kind = types.from_proto(node.type)
    if node.kind != "Literal" or kind.name != "ENUM":
        return ""
    return str(datetime_pb2.DateTimestampPart.Name(literal.from_proto(node.value.value, kind)))


def condition(context: Context, node: Node, keys: Keys) -> Condition | None:
    """What ``node`` says of partitions whose columns are ``keys``; None for nothing."""
    constant = _constant(context, node)
    if constant is not None:
        return Condition(f"coalesce({constant}, false)", filters=False, whole=True)
    name = function(node)
    if name in ("$and", "$or"):
        parts = [condition(context, each, keys) for each in node.argument_list]
        known = [part for part in parts if part is not None]
        if not known or (name == "$or" and len(known) < len(parts)):
            return None
        whole = len(known) == len(parts) and all(part.whole for part in known)
        text = (" AND " if name == "$and" else " OR ").join(part.text for part in known)
        filters = (any if name == "$and" else all)(part.filters for part in known if part != NEVER)
        return Condition(f"({text})", filters, whole)
    if (found := carried(context, node, keys)) is not None and found.exact:
        return Condition(f"coalesce({found.text.replace(BOUND, LOW)}, false)", whole=True)
    within = _within(context, node, keys, negated=False)
    return Condition(f"coalesce({within}, false)") if within is not None else None


def _within(context: Context, node: Node, keys: Keys, negated: bool) -> str | None:
    """True if some value between the bounds can satisfy a comparison."""
    name = function(node)
    if name == "$not":
        return _within(context, node.argument_list[0], keys, not negated)
    if name is None or not node.argument_list:
        return None
    if name in _COMPARISONS:
        operator = _COMPARISONS[name]
        column, other = node.argument_list
        if not column_ids(column):
            column, other, operator = other, column, _FLIPPED[operator]
        bounds, against = _bounds(context, column, keys), _constant(context, other)
        if bounds is None or against is None:
            return None
        return _compared(*bounds, _NEGATED[operator] if negated else operator, against)
    bound = _bounds(context, node.argument_list[0], keys)
    if bound is None:
        return None
    low, high = bound
    if name == "$is_null":
        if negated:
            return f"({low} IS NOT NULL)"
        return None if any(keys[each].nullable for each in column_ids(node)) else f"({low} IS NULL)"
    values = [_constant(context, each) for each in node.argument_list[1:]]
    texts = [value for value in values if value is not None]
    if len(texts) < len(values):
        return None
    if name == "$between":
        if negated:
            return f"({_compared(low, high, '<', texts[0])} OR {_compared(low, high, '>', texts[1])})"
        return f"({_compared(low, high, '>=', texts[0])} AND {_compared(low, high, '<=', texts[1])})"
    if name == "$in":
        operator, joint = ("<>", " AND ") if negated else ("=", " OR ")
        return f"({joint.join(_compared(low, high, operator, value) for value in texts)})"
    if name == "$in_array" and not negated:
        return f"(len(list_filter({texts[0]}, lambda v: {_compared(low, high, '=', 'v')})) > 0)"
    return None


def _bounds(context: Context, node: Node, keys: Keys) -> tuple[str, str] | None:
    """The texts of the least and the greatest value of an expression."""
    found = carried(context, node, keys)
    return (found.text.replace(BOUND, LOW), found.text.replace(BOUND, HIGH)) if found is not None else None


def _compared(low: str, high: str, operator: str, value: str) -> str:
    if operator == "=":
        return f"({low} <= {value} AND {high} >= {value})"
    if operator == "<>":
        return f"({low} <> {value} OR {high} <> {value})"
    return f"({low if operator.startswith('<') else high} {operator} {value})"
