"""Functions that BigQuery has and the analyzer lacks: what it is told of them, and what they become."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from zetasql.wasi._pb2.zetasql.proto import function_pb2
from zetasql.wasi._pb2.zetasql.public import function_pb2 as enums
from zetasql.wasi._pb2.zetasql.public import type_pb2

from bq_emulator.model import BigQueryError
from bq_emulator.sql.functions.aggregates import AggregateCall, any_value
from bq_emulator.sql.functions.casts import cast_to_string
from bq_emulator.sql.functions.spec import Call, Template
from bq_emulator.sql.types import Type

_SCOPES = ("JSON_VALUES", "JSON_KEYS", "JSON_KEYS_AND_VALUES")


def _contains_substr(call: Call) -> str:
    """CONTAINS_SUBSTR: every leaf of the expression as text; NULL where none contains the value but one is NULL.
    https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#contains_substr"""
    sought = call.constant(1)
    if sought is None:
        raise BigQueryError("invalidQuery", "The search value of CONTAINS_SUBSTR must not be NULL", "query")
    scope = (call.constant(2) if len(call.args) > 2 else None) or _SCOPES[0]
    if scope not in _SCOPES:
        message = f"json_scope of CONTAINS_SUBSTR must be one of {', '.join(_SCOPES)}, found {scope}"
        raise BigQueryError("invalidQuery", message, "query")
    leaves = _leaves(call, call.args[0], call.type(0), scope)
    return call.context.apply("bq_contains({0}, bq_casefold({1}))", [leaves, call.args[1]])


def _leaves(call: Call, text: str, kind: Type, scope: str) -> str:
    """DuckDB text of the VARCHAR[] of all scalars within a value."""
    if kind.name == "ARRAY":
        item = call.context.fresh("e")
        inside = _leaves(call, item, kind.item, scope)
        return f"coalesce(flatten(list_transform({text}, lambda {item}: {inside})), [NULL]::VARCHAR[])"
    if kind.name == "STRUCT":

        def fields(bound: list[str]) -> str:
            members = (
                _leaves(call, f"struct_extract_at({bound[0]}, {place})", member, scope)
                for place, (_, member) in enumerate(kind.fields, 1)
            )
            return f"list_concat({', '.join(members)})"

        return call.context.bind([text], fields)
    if kind.name == "JSON":
        return f"bq_json_leaves({text}, '{scope}')"
    return f"[{cast_to_string(call.context, text, kind)}]::VARCHAR[]"


def _by(kind: str) -> Callable[[AggregateCall], str]:
    """MAX_BY(x, y) is ANY_VALUE(x HAVING MAX y)."""

    def build(call: AggregateCall) -> str:
        call.having = (kind, call.args.pop(), call.type(1))
        return any_value(call)

    return build


SCALAR: dict[str, Template] = {"contains_substr": _contains_substr}
AGGREGATE: dict[str, Callable[[AggregateCall], str]] = {"max_by": _by("MAX"), "min_by": _by("MIN")}


@cache
def declarations() -> tuple[function_pb2.FunctionProto, ...]:
    """The functions as a catalog of the analyzer holds them."""
    first, second = enums.ARG_TYPE_ANY_1, enums.ARG_TYPE_ANY_2
    declared = []
    for name in AGGREGATE:
        made = function_pb2.FunctionProto(name_path=[name], group="bigquery", mode=enums.FunctionEnums.AGGREGATE)
        made.options.sql_name = name.upper()
        signature = made.signature.add()
        _argument(signature.return_type, first)
        _argument(signature.argument.add(), first)
        _argument(signature.argument.add(), second).options.must_support_ordering = True
        declared.append(made)
    made = function_pb2.FunctionProto(name_path=["contains_substr"], group="bigquery", mode=enums.FunctionEnums.SCALAR)
    made.options.sql_name = "CONTAINS_SUBSTR"
    signature = made.signature.add()
    _argument(signature.return_type, enums.ARG_TYPE_FIXED).type.type_kind = type_pb2.TYPE_BOOL
    _argument(signature.argument.add(), enums.ARG_TYPE_ARBITRARY)
    sought, scope = signature.argument.add(), signature.argument.add()
    for argument in (sought, scope):
        _argument(argument, enums.ARG_TYPE_FIXED).type.type_kind = type_pb2.TYPE_STRING
    scope.num_occurrences = 0
    scope.options.cardinality = enums.FunctionEnums.OPTIONAL
    scope.options.argument_name = "json_scope"
    scope.options.named_argument_kind = enums.FunctionEnums.NAMED_ONLY
    declared.append(made)
    return tuple(declared)


def _argument(
    proto: function_pb2.FunctionArgumentTypeProto, kind: enums.SignatureArgumentKind
) -> function_pb2.FunctionArgumentTypeProto:
    proto.kind = kind
    proto.num_occurrences = 1
    return proto
