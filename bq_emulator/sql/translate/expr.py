"""Expressions: scalar, aggregate and analytic."""

from __future__ import annotations

from collections.abc import Callable

from zetasql.wasi._pb2.zetasql.public import builtin_function_pb2

from bq_emulator.sql import literal, types
from bq_emulator.sql.functions import casts, evaluated, registry
from bq_emulator.sql.functions.aggregates import Beneath
from bq_emulator.sql.functions.ordering import sort_keys
from bq_emulator.sql.functions.spec import Call, render
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.scope import Variable
from bq_emulator.sql.translate.context import Context, column, unsupported
from bq_emulator.sql.types import quote

_SIGNATURES = builtin_function_pb2.FunctionSignatureId


def expression(context: Context, node: Node) -> str:
    """DuckDB text of a scalar expression; safe to stand as an operand.

    Raises:
        BigQueryError: notImplemented, naming the node or the function signature that is not in the tables.
    """
    translate = EXPRESSIONS.get(node.kind)
    if translate is None:
        raise unsupported(node.kind)
    return translate(context, node)


def signature(node: Node) -> str:
    """The analyzer's name for the signature of a call, for example FN_ADD_INT64."""
    if not node.function.name.startswith("ZetaSQL:"):
        return str(node.function.name.rpartition(":")[2])  # one of ``functions.additional``
    return str(_SIGNATURES.Name(node.signature.context_id))


def _refuse(node: Node, name: str) -> Exception:
    shown = node.function.name.rpartition(":")[2].lstrip("$").upper()
    arguments = ", ".join(str(types.from_proto(each.type)) for each in node.argument_list)
    return unsupported(f"Function {shown}({arguments}) [{name}]")


def _literal(context: Context, node: Node) -> str:
    kind = types.from_proto(node.type)
    value = literal.from_proto(node.value.value, kind)
    return str(value) if kind.name == "ENUM" else literal.sql(value, kind)


def _parameter(context: Context, node: Node) -> str:
    declared, value = context.parameter(node)
    if isinstance(value, Variable):
        return value.sql
    return literal.sql(value, types.from_field(declared))


def _variable(context: Context, node: Node) -> str:
    return context.variable(node).sql


def _system_variable(context: Context, node: Node) -> str:
    return literal.sql(*context.system_variable(node))


def _column_ref(context: Context, node: Node) -> str:
    return context.column(node.column)


#: Left-deep chains of these become one flat chain.
_ASSOCIATIVE = {"FN_CONCAT_OP_STRING": " || ", "FN_CONCAT_OP_BYTES": " || ", "FN_AND": " AND ", "FN_OR": " OR "}


def _chain(node: Node, name: str) -> list[Node]:
    """The operands of a chain of one associative operator, in order."""
    operands: list[Node] = []
    pending = [node]
    while pending:
        current = pending.pop()
        same = current.kind == "FunctionCall" and signature(current) == name
        if same and current.error_mode == "DEFAULT_ERROR_MODE":
            pending.extend(reversed(current.argument_list))
        else:
            operands.append(current)
    return operands


def _function_call(context: Context, node: Node) -> str:
    name = signature(node)
    safe = node.error_mode == "SAFE_ERROR_MODE"
    if name in _ASSOCIATIVE and not safe:
        return f"({_ASSOCIATIVE[name].join(expression(context, each) for each in _chain(node, name))})"
    template = registry.SCALAR.get(name)
    if template is None:
        raise _refuse(node, name)
    nodes = [each.expr or each.inline_lambda for each in node.generic_argument_list] or list(node.argument_list)
    is_attempt = name in ("FN_IFERROR", "FN_ISERROR", "FN_NULLIFERROR")
    context.attempts += is_attempt
    args = [expression(context, nodes[0])] if is_attempt else []
    context.attempts -= is_attempt
    args += [expression(context, each) for each in nodes[len(args) :]]
    call = Call(context, name, args, nodes, types.from_proto(node.type))
    if safe:
        return _safe(call, template)
    return template(call) if callable(template) else context.apply(template, call.args)


def _safe(call: Call, template: str | Callable[[Call], str]) -> str:
    """SAFE.f(…): NULL where f fails, while failures of its arguments still fail."""

    def attempt(args: list[str]) -> str:
        call.args = args
        call.context.attempts += 1
        text = template(call) if callable(template) else render(template, args)
        call.context.attempts -= 1
        return f"TRY({text})"

    return call.context.bind(call.args, attempt, opaque=True)


def _lambda(context: Context, node: Node) -> str:
    names = ", ".join(column(each.column_id) for each in node.argument_list)
    return f"lambda {names}: {expression(context, node.body)}"


def _cast(context: Context, node: Node) -> str:
    source, target = types.from_proto(node.expr.type), types.from_proto(node.type)
    if node.format is not None:
        return _cast_with_format(context, node, target)
    zone = expression(context, node.time_zone) if node.time_zone is not None else "'UTC'"
    operand = expression(context, node.expr)
    limits = node.type_modifiers.type_parameters if node.type_modifiers is not None else None

    def converted(text: str) -> str:
        return casts.limited(context, casts.cast(context, text, source, target, zone), target, limits)

    if not node.return_null_on_error:
        return converted(operand)
    return context.bind([operand], lambda bound: f"TRY({converted(bound[0])})", opaque=True)


def _cast_with_format(context: Context, node: Node, target: types.Type) -> str:
    nodes = [each for each in (node.expr, node.format, node.time_zone) if each is not None]
    pattern = f"CAST({{0}} AS {target} FORMAT {{1}}{' AT TIME ZONE {2}' if node.time_zone is not None else ''})"
    if node.return_null_on_error:
        pattern = f"SAFE_{pattern}"
    call = Call(context, "CAST with FORMAT", [expression(context, each) for each in nodes], nodes, target)
    return evaluated.program(call, pattern)


def _make_struct(context: Context, node: Node) -> str:
    return literal.struct_of(types.from_proto(node.type), [expression(context, each) for each in node.field_list])


def _struct_field(context: Context, node: Node) -> str:
    return f"struct_extract_at({expression(context, node.expr)}, {node.field_idx + 1})"


def _json_field(context: Context, node: Node) -> str:
    return f"json_extract({expression(context, node.expr)}, {literal.text('$.' + quote(node.field_name))})"


def _subquery(context: Context, node: Node) -> str:
    from bq_emulator.sql.translate.scan import subquery

    query = subquery(context, node.subquery)
    kind = node.subquery_type
    if kind == "SCALAR":
        return f"({query})"
    if kind == "EXISTS":
        return f"EXISTS ({query})"
    if kind == "IN":
        if types.from_proto(node.in_expr.type).name == "FLOAT64":  # NaN equals nothing, in DuckDB itself
            query = f"SELECT v FROM ({query}) AS q(v) WHERE v IS NULL OR NOT isnan(v)"
        return f"({expression(context, node.in_expr)} IN ({query}))"
    if kind == "ARRAY":
        return f"coalesce(ARRAY({query}), [])"
    raise unsupported(f"Subquery with {kind.replace('_', ' ')}")


def _with_expr(context: Context, node: Node) -> str:
    """WITH(a AS …, b AS …, result): one bound level per assignment, since each may use those before."""
    inner = context
    overrides = dict(context.overrides)
    opened: list[tuple[str, str]] = []
    for item in node.assignment_list:
        name = context.fresh("p")
        opened.append((name, expression(inner, item.expr)))
        context.overrides[item.column.column_id] = f"{name}"
    body = expression(context, node.expr)
    context.overrides = overrides
    for name, value in reversed(opened):
        body = f"list_transform([{value}], lambda {name}: {body})[1]"
    return body


def order_item(context: Context, item: Node, operand: str | None = None) -> list[str]:
    """The sort keys of one ORDER BY item."""
    if item.collation_name is not None:
        raise unsupported("COLLATE in ORDER BY")
    text = operand or context.column(item.column_ref.column)
    nulls = None if item.null_order == "ORDER_UNSPECIFIED" else item.null_order.replace("_", " ")
    return sort_keys(text, types.from_proto(item.column_ref.type), item.is_descending, nulls)


def aggregate(context: Context, node: Node, beneath: Beneath) -> str:
    """DuckDB text of an aggregate function call; ``beneath`` takes the window functions it reads."""
    name = signature(node)
    template = registry.AGGREGATE.get(name)
    if template is None:
        raise _refuse(node, name)
    if node.group_by_list or node.group_by_aggregate_list:
        raise unsupported("GROUP BY inside an aggregate function")
    return template(aggregate_call(context, node, beneath))


def aggregate_call(context: Context, node: Node, beneath: Beneath) -> registry.AggregateCall:
    """The parts of an aggregate call, translated."""
    nodes = list(node.argument_list)
    is_aggregate = node.kind == "AggregateFunctionCall"
    modifier = node.having_modifier if is_aggregate else None
    orders = node.order_by_item_list if is_aggregate else []
    return registry.AggregateCall(
        context=context,
        name=signature(node),
        args=[expression(context, each) for each in nodes],
        nodes=nodes,
        result=types.from_proto(node.type),
        distinct=node.distinct,
        nulls=node.null_handling_modifier,
        order_by=[key for item in orders for key in order_item(context, item)],
        limit=expression(context, node.limit) if is_aggregate and node.limit is not None else None,
        having=_having(context, modifier) if modifier is not None else None,
        where=expression(context, node.where_expr) if node.where_expr is not None else None,
        beneath=beneath,
    )


def _having(context: Context, modifier: Node) -> tuple[str, str, types.Type]:
    key = modifier.having_expr
    return modifier.get("kind"), expression(context, key), types.from_proto(key.type)


def analytic(context: Context, node: Node, group: Node, items: list[tuple[str, str]]) -> str:
    """DuckDB text of an analytic function call over the window of its group. What it reads of other window functions
    is added to ``items``, those of the SELECT beneath."""
    name = signature(node)
    columns = group.partition_by.partition_by_list if group.partition_by is not None else []
    beneath = Beneath(context, items, [context.column(each.column) for each in columns])
    window = [beneath.partition] if beneath.partition else []
    orders = group.order_by.order_by_item_list if group.order_by is not None else []
    frame = _frame(context, node.window_frame) if node.window_frame is not None else ""
    keys = [key for item in orders for key in order_item(context, item)]
    if frame.startswith("RANGE") and _has_offset(node.window_frame):
        keys = keys[-1:]  # such a frame takes exactly one key
    if keys:
        window.append(f"ORDER BY {', '.join(keys)}")
    if frame:
        window.append(frame)
    over = f"({' '.join(window)})"
    call = aggregate_call(context, node, beneath)
    call.over = over
    if name in registry.ANALYTIC:
        return registry.ANALYTIC[name](call)
    if name in registry.AGGREGATE:
        return registry.AGGREGATE[name](call)
    raise _refuse(node, name)


def _frame(context: Context, node: Node) -> str:
    return f"{node.frame_unit} BETWEEN {_bound(context, node.start_expr)} AND {_bound(context, node.end_expr)}"


def _has_offset(frame: Node) -> bool:
    return any(bound.boundary_type.startswith("OFFSET") for bound in (frame.start_expr, frame.end_expr))


def _bound(context: Context, node: Node) -> str:
    kind = node.boundary_type
    if kind.startswith("OFFSET"):
        return f"{expression(context, node.expression)} {kind.removeprefix('OFFSET_')}"
    return str(kind).replace("_", " ")


#: Node kind → translation.
EXPRESSIONS: dict[str, Callable[[Context, Node], str]] = {
    "Literal": _literal,
    "Parameter": _parameter,
    "Constant": _variable,
    "SystemVariable": _system_variable,
    "ColumnRef": _column_ref,
    "FunctionCall": _function_call,
    "InlineLambda": _lambda,
    "Cast": _cast,
    "MakeStruct": _make_struct,
    "GetStructField": _struct_field,
    "GetJsonField": _json_field,
    "SubqueryExpr": _subquery,
    "WithExpr": _with_expr,
}
