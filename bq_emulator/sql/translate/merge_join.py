"""How a MERGE's target and source are joined."""

from __future__ import annotations

from dataclasses import replace

from bq_emulator.sql import literal, types
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.scans.elimination import column_ids, conjuncts, function
from bq_emulator.sql.translate.context import Context, column
from bq_emulator.sql.translate.expr import expression

#: Equal values lie on the same side of any other.
_BOUNDS = ("$between", "$greater", "$greater_or_equal", "$less", "$less_or_equal")


def joined(context: Context, node: Node, target: str, source: str, kinds: set[str]) -> str:
    """A MERGE's join as a FROM item, with the rows without a match that ``kinds`` of clauses want."""
    by_target, by_source = "NOT_MATCHED_BY_TARGET" in kinds, "NOT_MATCHED_BY_SOURCE" in kinds
    if _is_never_true(node.merge_expr):
        # DuckDB would compare each row with each.
        unmatched = f"FROM {target} WHERE {by_source}", f"FROM {source} WHERE {by_target}"
        return f"({' UNION ALL BY NAME '.join(unmatched)})"
    join = {
        (False, False): "INNER",
        (True, False): "RIGHT",
        (False, True): "LEFT",
        (True, True): "FULL",
    }[by_target, by_source]
    return f"{target} {join} JOIN {source} ON {_on(context, node)}"


def _is_never_true(condition: Node) -> bool:
    """Whether FALSE or NULL is a condition, or one of the operands of its AND."""
    literals = (part for part in conjuncts(condition) if part.kind == "Literal")
    return any(literal.from_proto(part.value.value, types.from_proto(part.type)) is not True for part in literals)


def _on(context: Context, node: Node) -> str:
    """The join's condition. Bounds of a target's column that is to equal one of the source's are asked of the source's,
    of which there are fewer: DuckDB finds by itself where in the target these keys may be."""
    target = {each.column_id for each in node.table_scan.column_list}
    parts = conjuncts(node.merge_expr)
    equal = {}
    for part in parts:
        if function(part) == "$equal" and all(each.kind == "ColumnRef" for each in part.argument_list):
            ours, others = column_ids(part) & target, column_ids(part) - target
            if ours and others:
                equal[ours.pop()] = others.pop()
    asked = _with_columns(context, {ours: column(other) for ours, other in equal.items()})
    within: dict[int, list[str]] = {}
    rest = []
    for part in parts:
        bounded = _bounded(part)
        if bounded in equal:
            within.setdefault(equal[bounded], []).append(expression(asked, part))
        else:
            rest.append(part)
    keys = {key: f"CASE WHEN {' AND '.join(texts)} THEN {column(key)} END" for key, texts in within.items()}
    return " AND ".join(f"({expression(_with_columns(context, keys), part)})" for part in rest)


def _bounded(part: Node) -> int | None:
    """The column that a condition compares with constants, by the order of its values."""
    if function(part) not in _BOUNDS:
        return None
    first, *others = part.argument_list
    constant = all(each.kind == "Literal" for each in others)
    return first.column.column_id if first.kind == "ColumnRef" and constant else None


def _with_columns(context: Context, texts: dict[int, str]) -> Context:
    """``context`` with these texts in the place of columns."""
    return replace(context, overrides={**context.overrides, **texts})
