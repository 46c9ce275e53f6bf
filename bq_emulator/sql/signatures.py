"""The functions that Google's analyzer knows: what the support table and the comparison go through."""

from __future__ import annotations

from dataclasses import dataclass

from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service
from zetasql.wasi._pb2.zetasql.proto import function_pb2, options_pb2
from zetasql.wasi._pb2.zetasql.public import builtin_function_pb2, type_pb2

from bq_emulator.sql.analyzer import Analyzer

_NAMES = {"DOUBLE": "FLOAT64"}


@dataclass(frozen=True)
class Argument:
    """``type`` is GoogleSQL's name, ``ARRAY<…>`` (with nothing inside for any element), None for any type;
    ``cardinality`` REQUIRED, OPTIONAL or REPEATED."""

    type: str | None
    cardinality: str


@dataclass(frozen=True)
class Signature:
    """``function`` in lower case, operators with a $; ``name`` as the tables have it; ``mode`` SCALAR, AGGREGATE or
    ANALYTIC."""

    function: str
    name: str
    mode: str
    arguments: tuple[Argument, ...]
    #: The analyzer puts an expression of other functions in its place.
    is_rewritten: bool = False


def builtin(analyzer: Analyzer) -> list[Signature]:
    """Every signature of every built-in function, under BigQuery's language options."""
    request = options_pb2.ZetaSQLBuiltinFunctionOptionsProto()
    request.language_options.CopyFrom(analyzer.options.language_options)
    answer = analyzer.call("GetBuiltinFunctions", request, service.GetBuiltinFunctionsResponse)
    return [
        Signature(
            ".".join(function.name_path),
            builtin_function_pb2.FunctionSignatureId.Name(signature.context_id),
            function.DESCRIPTOR.fields_by_name["mode"].enum_type.values_by_number[function.mode].name,
            tuple(_argument(each) for each in signature.argument),
            signature.options.rewrite_options.enabled,
        )
        for function in answer.function
        for signature in function.signature
    ]


def _argument(proto: function_pb2.FunctionArgumentTypeProto) -> Argument:
    options = proto.options
    number = options.DESCRIPTOR.fields_by_name["cardinality"].enum_type.values_by_number[options.cardinality]
    kind = proto.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[proto.kind].name
    name = _type(proto.type) if proto.HasField("type") else "ARRAY<>" if kind.startswith("ARG_ARRAY") else None
    if "LAMBDA" in kind:
        name = "LAMBDA"
    return Argument(name, number.name)


def _type(proto: type_pb2.TypeProto) -> str:
    name = type_pb2.TypeKind.Name(proto.type_kind).removeprefix("TYPE_")
    if name == "ARRAY":
        return f"ARRAY<{_type(proto.array_type.element_type)}>"
    return _NAMES.get(name, name)
