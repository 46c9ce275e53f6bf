"""SQL functions: REST's Routine resources, as CREATE FUNCTION makes them and as the analyzer's catalog takes them.

The analyzer puts the body of a function in the place of its calls, so a function needs no DuckDB text of its own.
https://cloud.google.com/bigquery/docs/reference/rest/v2/routines
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from zetasql.wasi._pb2.zetasql.proto import function_pb2, simple_catalog_pb2
from zetasql.wasi._pb2.zetasql.public import function_pb2 as enums

from bq_emulator.model import BigQueryError
from bq_emulator.sql import types
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.types import Type

#: Names of functions follow another rule than those of tables: letters, digits and underscores.
NAME = re.compile(r"[A-Za-z_]\w{0,255}", re.ASCII)
_GROUP = "Templated_SQL_Function"
_CALLS = re.compile(
    r"""/\*.*?\*/|--[^\n]*|\#[^\n]*
      | [rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?<![\w`.@])(?P<path>(?:`[^`]*`|[A-Za-z_]\w*)(?:\s*\.\s*(?:`[^`]*`|[A-Za-z_]\w*))*)(?=\s*\()""",
    re.DOTALL | re.VERBOSE,
)


def called(sql: str) -> Iterator[tuple[str, ...]]:
    """The paths in ``sql`` that stand before a parenthesis, as functions do; most are no functions of a dataset."""
    seen = set()
    for found in _CALLS.finditer(sql):
        if found["path"]:
            path = tuple(part.strip().strip("`") for part in found["path"].split("."))
            if path not in seen:
                seen.add(path)
                yield path


# From statements ------------------------------------------------------------------------------------------------------


def from_statement(node: Node) -> dict[str, Any]:
    """The Routine of a CreateFunctionStmt or CreateTableFunctionStmt, without its reference.

    Raises:
        BigQueryError: notImplemented for another language than SQL and for arguments that are tables.
    """
    if node.language.upper() != "SQL" or (node.kind == "CreateFunctionStmt" and node.is_remote):
        raise _unsupported(f"A function in {node.language}")
    names, signature = node.argument_name_list, node.signature
    arguments = [_argument(name, proto) for name, proto in zip(names, signature.argument, strict=True)]
    routine: dict[str, Any] = {"language": "SQL", "arguments": arguments, "definitionBody": node.code}
    if node.kind == "CreateTableFunctionStmt":
        routine["routineType"] = "TABLE_VALUED_FUNCTION"
        if node.has_explicit_return_schema:
            columns = signature.return_type.options.relation_input_schema.column
            routine["returnTableType"] = {
                "columns": [{"name": each.name, "type": standard(types.from_proto(each.type))} for each in columns]
            }
        return routine
    routine["routineType"] = "AGGREGATE_FUNCTION" if node.is_aggregate else "SCALAR_FUNCTION"
    if node.has_explicit_return_type:
        routine["returnType"] = standard(types.from_proto(node.return_type))
    if node.is_aggregate:
        for argument, proto in zip(arguments, signature.argument, strict=True):
            argument["isAggregate"] = not proto.options.is_not_aggregate
    return routine


def _argument(name: str, proto: function_pb2.FunctionArgumentTypeProto) -> dict[str, Any]:
    if proto.options.HasField("default_value"):
        raise _unsupported(f"The default value of argument {name}")
    if proto.kind == enums.ARG_TYPE_FIXED:
        data_type = standard(types.from_proto(proto.type))
        return {"name": name, "argumentKind": "FIXED_TYPE", "dataType": data_type}
    if proto.kind == enums.ARG_TYPE_ARBITRARY:
        return {"name": name, "argumentKind": "ANY_TYPE"}
    raise _unsupported(f"Argument {name}, which is a table,")


def to_statement(path: str, routine: dict[str, Any], create: str = "CREATE") -> str:
    """The statement that makes ``routine`` under the name ``path``, its options left out."""
    kind = {"TABLE_VALUED_FUNCTION": "TABLE ", "AGGREGATE_FUNCTION": "AGGREGATE "}.get(routine["routineType"], "")
    arguments = []
    for each in routine.get("arguments") or ():
        is_any = each.get("argumentKind") == "ANY_TYPE"
        suffix = "" if each.get("isAggregate", True) else " NOT AGGREGATE"
        arguments.append(
            f"`{each['name']}` {'ANY TYPE' if is_any else from_standard(each.get('dataType') or {})}{suffix}"
        )
    returns = ""
    if routine.get("returnType"):
        returns = f"\nRETURNS {from_standard(routine['returnType'])}"
    elif routine.get("returnTableType"):
        columns = routine["returnTableType"].get("columns") or ()
        shown = ", ".join(f"`{each['name']}` {from_standard(each['type'])}" for each in columns)
        returns = f"\nRETURNS TABLE<{shown}>"
    return f"{create} {kind}FUNCTION {path}({', '.join(arguments)}){returns}\nAS (\n{routine['definitionBody']}\n)"


# To the analyzer ------------------------------------------------------------------------------------------------------


def mount(home: simple_catalog_pb2.SimpleCatalogProto, name: str, routine: dict[str, Any]) -> None:
    """Make ``routine`` callable as ``name`` in the catalog ``home``."""
    arguments = routine.get("arguments") or ()
    names = [each["name"] for each in arguments]
    body = routine["definitionBody"]
    if routine["routineType"] == "TABLE_VALUED_FUNCTION":
        table = home.custom_tvf.add(name_path=[name], type=enums.FunctionEnums.TEMPLATED_SQL_TVF)
        _sign(table.signature, arguments)
        returned = table.signature.return_type
        returned.kind = enums.ARG_TYPE_RELATION
        for column in (routine.get("returnTableType") or {}).get("columns") or ():
            added = returned.options.relation_input_schema.column.add(name=column["name"])
            added.type.CopyFrom(types.to_proto(from_standard(column["type"]).field("")))
        table.parse_resume_location.input = body
        table.argument_name.extend(names)
        return
    function = home.custom_function.add(name_path=[name], group=_GROUP)
    is_aggregate = routine["routineType"] == "AGGREGATE_FUNCTION"
    function.mode = enums.FunctionEnums.AGGREGATE if is_aggregate else enums.FunctionEnums.SCALAR
    _sign(function.signature.add(), arguments)
    function.signature[0].return_type.kind = enums.ARG_TYPE_ARBITRARY
    if routine.get("returnType"):
        body = f"CAST(({body}\n) AS {from_standard(routine['returnType'])})"
    function.parse_resume_location.input = body
    function.templated_sql_function_argument_name.extend(names)


def _sign(signature: function_pb2.FunctionSignatureProto, arguments: Any) -> None:
    for each in arguments:
        argument = signature.argument.add(num_occurrences=1, kind=enums.ARG_TYPE_ARBITRARY)
        argument.options.is_not_aggregate = not each.get("isAggregate", True)
        if each.get("dataType"):
            argument.kind = enums.ARG_TYPE_FIXED
            argument.type.CopyFrom(types.to_proto(from_standard(each["dataType"]).field("")))


def query_of(routine: dict[str, Any]) -> str:
    """A statement that reads what the body reads."""
    body = routine["definitionBody"]
    return body if routine["routineType"] == "TABLE_VALUED_FUNCTION" else f"SELECT ({body}\n)"


def restore_names(message: str, names: Iterator[str]) -> str:
    """An error of the analyzer with functions called as the user does."""
    known = {name.lower().rpartition(".")[2]: name for name in names}
    return re.sub(rf"{_GROUP}:(\w+)", lambda found: known.get(found[1].lower(), found[1]), message, flags=re.IGNORECASE)


# REST's StandardSqlDataType -------------------------------------------------------------------------------------------


def standard(kind: Type) -> dict[str, Any]:
    """REST's StandardSqlDataType."""
    if kind.name == "ARRAY":
        return {"typeKind": "ARRAY", "arrayElementType": standard(kind.item)}
    if kind.name == "STRUCT":
        fields = [{**({"name": name} if name else {}), "type": standard(member)} for name, member in kind.fields]
        return {"typeKind": "STRUCT", "structType": {"fields": fields}}
    return {"typeKind": kind.name}


def from_standard(resource: dict[str, Any]) -> Type:
    """Raises BigQueryError invalid for a type that does not exist, notImplemented for one not supported here."""
    kind = resource.get("typeKind")
    if kind == "ARRAY":
        return Type("ARRAY", element=from_standard(resource.get("arrayElementType") or {}))
    if kind == "STRUCT":
        fields = (resource.get("structType") or {}).get("fields") or ()
        return Type("STRUCT", fields=tuple((each.get("name", ""), from_standard(each["type"])) for each in fields))
    if kind in types.SCALARS:
        return Type(kind)
    if kind in ("GEOGRAPHY", "RANGE"):
        raise _unsupported(f"Type {kind}")
    raise BigQueryError("invalid", f"Invalid value for typeKind: {kind!r}; one of {', '.join(types.SCALARS)}.")


def _unsupported(what: str) -> BigQueryError:
    return BigQueryError("notImplemented", f"{what} is not supported by this emulator", "query")
