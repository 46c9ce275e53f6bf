"""Comparisons, logic, conditionals and NULL handling."""

from __future__ import annotations

from bq_emulator.sql.errors import CHECK_MARK
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
        guarded = 1 if operator in ("<", "<=") else 0
        if _is_number(call.nodes[guarded]):
            return render(plain, call.args)
        return call.context.apply(_not_nan(operator, is_constant=_is_number(call.nodes[1 - guarded])), call.args)

    return compare


def _not_nan(operator: str, is_constant: bool = False) -> str:
    """The comparison of {0} and {1}, FLOAT64 both; ``is_constant`` says that the side that needs no guard is never
    NULL. NULL stays the answer for NaN and NULL."""
    guarded, other = ("{1}", "{0}") if operator in ("<", "<=") else ("{0}", "{1}")
    if operator == "<>":
        known = "" if is_constant else f" AND {other} IS NOT NULL"
        return f"({{0}} <> {{1}} OR (isnan({guarded}){known}))"
    missing = "" if is_constant else f" OR {other} IS NULL"
    return f"({{0}} {operator} {{1}} AND (NOT isnan({guarded}){missing}))"


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
        _structs(member, [one, other], "=") if member.name == "STRUCT" else _equal(one, other, member)
        for (one, other), (_, member) in zip(pairs, kind.fields, strict=True)
    ]
    joined = f"({' AND '.join(texts) or 'true'})"
    return joined if operator == "=" else f"(NOT {joined})"


def _equal(one: str, other: str, kind: Type) -> str:
    """Equality of two texts that may be repeated; NaN equals nothing."""
    return render(_not_nan("=") if kind.name == "FLOAT64" else "({0} = {1})", [one, other])


def _between(call: Call) -> str:
    if call.type(0).name == "FLOAT64":
        return call.context.bind(
            call.args,
            lambda bound: f"({render(_not_nan('>='), bound[:2])} AND {render(_not_nan('<='), [bound[0], bound[2]])})",
        )
    return render("({0} BETWEEN {1} AND {2})", call.args)


def _in(call: Call) -> str:
    if call.type(0).name == "STRUCT" or (call.type(0).name == "FLOAT64" and not all(map(_is_number, call.nodes[1:]))):
        return call.context.bind(
            call.args,
            lambda bound: f"({' OR '.join(_same(bound[0], each, call.type(0)) for each in bound[1:])})",
        )
    return f"({call.args[0]} IN ({', '.join(call.args[1:])}))"


def _same(one: str, other: str, kind: Type) -> str:
    return _structs(kind, [one, other], "=") if kind.name == "STRUCT" else _equal(one, other, kind)


def _in_array(call: Call) -> str:
    kind = call.type(0)
    if kind.name == "STRUCT":
        item = call.context.fresh("e")
        found = call.context.bind(
            call.args,
            lambda bound: f"list_transform({bound[1]}, lambda {item}: {_structs(kind, [bound[0], item], '=')})",
        )
        known = "CASE WHEN list_contains({0}, true) THEN true WHEN len({0}) = list_count({0}) THEN false END"
        return call.context.apply(known, [found])
    items = "SELECT unnest({1})"
    if kind.name == "FLOAT64":
        items = f"SELECT v FROM ({items}) AS q(v) WHERE v IS NULL OR NOT isnan(v)"
    return render(f"({{0}} = ANY({items}))", call.args)


def _nullif(call: Call) -> str:
    if call.type(0).name == "FLOAT64" and not _is_number(call.nodes[1]):
        return call.context.apply("CASE WHEN {0} = {1} AND NOT isnan({0}) THEN NULL ELSE {0} END", call.args)
    return render("nullif({0}, {1})", call.args)


def _case_no_value(call: Call) -> str:
    arms = zip(call.args[0:-1:2], call.args[1:-1:2], strict=True)
    return f"CASE {' '.join(f'WHEN {test} THEN {value}' for test, value in arms)} ELSE {call.args[-1]} END"


def _case_with_value(call: Call) -> str:
    if call.type(0).name in ("FLOAT64", "STRUCT"):

        def chosen(bound: list[str]) -> str:
            arms = zip(call.args[1:-1:2], call.args[2:-1:2], strict=True)
            tests = " ".join(
                f"WHEN {call.context.bind([arm], lambda arm: _same(bound[0], arm[0], call.type(0)))} THEN {value}"
                for arm, value in arms
            )
            return f"CASE {tests} ELSE {call.args[-1]} END"

        return call.context.bind(call.args[:1], chosen)
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
    # DuckDB's error() is volatile, so it is not computed before it is reached; TRY takes nothing that is.
    nothing = f"NULL::{call.result.duckdb()}"
    if call.context.attempts:
        return f"CASE WHEN CAST('{CHECK_MARK}' || {call.args[0]} AS BOOLEAN) THEN {nothing} END"
    return f"CASE WHEN true THEN error({call.args[0]}) ELSE {nothing} END"


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
    "FN_IN_ARRAY": _in_array,
    "FN_IS_NULL": "({0} IS NULL)",
    "FN_IS_TRUE": "({0} IS TRUE)",
    "FN_IS_FALSE": "({0} IS FALSE)",
    "FN_NOT": "(NOT {0})",
    "FN_IF": "CASE WHEN {0} THEN {1} ELSE {2} END",
    "FN_CASE_NO_VALUE": _case_no_value,
    "FN_CASE_WITH_VALUE": _case_with_value,
    "FN_COALESCE": "coalesce({*})",
    "FN_IFNULL": "coalesce({0}, {1})",
    "FN_NULLIF": _nullif,
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
