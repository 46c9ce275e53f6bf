"""Comparisons, logic, conditionals and NULL handling."""

from __future__ import annotations

from bq_emulator.sql.functions.spec import Call, Template, render
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.types import Type


def _comparison(operator: str) -> Template:
    """In DuckDB NaN equals itself and is greater than every number; in GoogleSQL every comparison with it is false
    (``!=`` true). Guards are added for FLOAT64 only, and not for the side that is a constant."""

    def compare(call: Call) -> str:
        plain = f"({{0}} {operator} {{1}})"
        if call.type(0).name == "STRUCT" and operator in ("=", "<>"):
            return call.context.bind(call.args, lambda bound: _structs(call.type(0), bound, operator))
        if call.type(0).name != "FLOAT64":
            return render(plain, call.args)
        guarded = {"=": (0,), "<>": (0,), "<": (1,), "<=": (1,), ">": (0,), ">=": (0,)}[operator]
        places = [place for place in guarded if not _is_number(call.nodes[place])]
        if not places:
            return render(plain, call.args)
        test = " OR " if operator == "<>" else " AND NOT "
        return call.context.apply(f"({plain}{''.join(f'{test}isnan({{{place}}})' for place in places)})", call.args)

    return compare


def _is_number(node: Node) -> bool:
    """True for a constant that is not NaN."""
    return node.kind == "Literal" and node.value.value.double_value == node.value.value.double_value


def _structs(kind: Type, args: list[str], operator: str) -> str:
    """Field by field, so that a NULL field makes the answer NULL unless another field already differs."""
    left, right = args
    pairs = [
        (f"struct_extract_at({left}, {i})", f"struct_extract_at({right}, {i})") for i in range(1, len(kind.fields) + 1)
    ]
    texts = [
        _structs(member, [one, other], "=") if member.name == "STRUCT" else f"({one} = {other})"
        for (one, other), (_, member) in zip(pairs, kind.fields, strict=True)
    ]
    joined = f"({' AND '.join(texts) or 'true'})"
    return joined if operator == "=" else f"(NOT {joined})"


def _between(call: Call) -> str:
    if call.type(0).name == "FLOAT64":
        return call.context.apply("({0} >= {1} AND {0} <= {2} AND NOT isnan({0}) AND NOT isnan({2}))", call.args)
    return render("({0} BETWEEN {1} AND {2})", call.args)


def _in(call: Call) -> str:
    return f"({call.args[0]} IN ({', '.join(call.args[1:])}))"


def _case_no_value(call: Call) -> str:
    arms = zip(call.args[0:-1:2], call.args[1:-1:2], strict=True)
    return f"CASE {' '.join(f'WHEN {test} THEN {value}' for test, value in arms)} ELSE {call.args[-1]} END"


def _case_with_value(call: Call) -> str:
    arms = zip(call.args[1:-1:2], call.args[2:-1:2], strict=True)
    tests = " ".join(f"WHEN {test} THEN {value}" for test, value in arms)
    return f"CASE {call.args[0]} {tests} ELSE {call.args[-1]} END"


def _extremum(function: str) -> Template:
    """GREATEST and LEAST are NULL if any argument is; DuckDB skips NULLs."""

    def pick(call: Call) -> str:
        holes = [f"{{{place}}}" for place in range(len(call.args))]
        missing = " OR ".join(f"{hole} IS NULL" for hole in holes)
        chosen = f"{function}({', '.join(holes)})"
        if call.result.name == "FLOAT64" and function == "least":  # DuckDB thinks NaN the greatest
            not_numbers = " OR ".join(f"isnan({hole})" for hole in holes)
            chosen = f"CASE WHEN {not_numbers} THEN 'nan'::DOUBLE ELSE {chosen} END"
        return call.context.apply(f"CASE WHEN {missing} THEN NULL ELSE {chosen} END", call.args)

    return pick


def _attempt(expression: str) -> str:
    """``expression``, or NULL if it fails; in a lambda, where DuckDB does not fold a failing constant before it knows
    of the TRY. A lambda cannot hold a subquery."""
    if "SELECT " in expression:
        return f"TRY({expression})"
    return f"list_transform([0], lambda _: TRY({expression}))[1]"


def _error(call: Call) -> str:
    # Typed NULL as the other arm: DuckDB's error() has no type of its own.
    return f"CASE WHEN true THEN error({call.args[0]}) ELSE NULL::{call.result.duckdb()} END"


SCALAR: dict[str, Template] = {
    "FN_EQUAL": _comparison("="),
    "FN_NOT_EQUAL": _comparison("<>"),
    "FN_LESS": _comparison("<"),
    "FN_LESS_OR_EQUAL": _comparison("<="),
    "FN_GREATER": _comparison(">"),
    "FN_GREATER_OR_EQUAL": _comparison(">="),
    "FN_DISTINCT": "({0} IS DISTINCT FROM {1})",
    "FN_NOT_DISTINCT": "({0} IS NOT DISTINCT FROM {1})",
    "FN_BETWEEN": _between,
    "FN_IN": _in,
    "FN_IN_ARRAY": "({0} = ANY(SELECT unnest({1})))",
    "FN_IS_NULL": "({0} IS NULL)",
    "FN_IS_TRUE": "({0} IS TRUE)",
    "FN_IS_FALSE": "({0} IS FALSE)",
    "FN_NOT": "(NOT {0})",
    "FN_IF": "CASE WHEN {0} THEN {1} ELSE {2} END",
    "FN_CASE_NO_VALUE": _case_no_value,
    "FN_CASE_WITH_VALUE": _case_with_value,
    "FN_COALESCE": "coalesce({*})",
    "FN_IFNULL": "coalesce({0}, {1})",
    "FN_NULLIF": "nullif({0}, {1})",
    "FN_GREATEST": _extremum("greatest"),
    "FN_LEAST": _extremum("least"),
    "FN_IFERROR": lambda call: (
        f"coalesce({_attempt(f'struct_pack(value := {call.args[0]})')}, struct_pack(value := {call.args[1]})).value"
    ),
    "FN_NULLIFERROR": lambda call: _attempt(call.args[0]),
    "FN_ISERROR": lambda call: f"({_attempt(f'struct_pack(value := {call.args[0]})')} IS NULL)",
    "FN_ERROR": _error,
    "FN_SESSION_USER": "'emulator@localhost'",
    "FN_GENERATE_UUID": "CAST(uuid() AS VARCHAR)",
}
# Flat chains of these are made by the translator itself; the entries serve SAFE calls.
SCALAR |= {
    "FN_AND": lambda call: f"({' AND '.join(call.args)})",
    "FN_OR": lambda call: f"({' OR '.join(call.args)})",
}
