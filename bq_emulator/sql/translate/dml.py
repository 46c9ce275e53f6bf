"""INSERT, UPDATE, DELETE, MERGE and TRUNCATE.

UPDATE … FROM and MERGE are carried out in steps: the join is staged once in a temporary table, with the row ids of the
target and the new values, so that every expression sees the table as it was, a target row that matches several source
rows is an error as on BigQuery (DuckDB would pick one), and each kind of change is counted for itself. An UPDATE in
place takes the stage in the target's order: one that jumps between DuckDB's vectors rewrites each hundreds of times,
and takes minutes where most of a million rows change. Even so it reads every vector that has a changed row, and keeps
it twice until the next checkpoint: where few of many rows change, as the stage tells, they are inserted anew.
"""

from __future__ import annotations

import uuid

from bq_emulator.model import BigQueryError, Dml, Table
from bq_emulator.sql import literal, types
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate.context import Context, column, unsupported
from bq_emulator.sql.translate.expr import expression
from bq_emulator.sql.translate.merge_join import joined
from bq_emulator.sql.translate.query import result
from bq_emulator.sql.translate.scan import ids, scan
from bq_emulator.sql.types import Type, quote

SEVERAL_MATCHES = "UPDATE/MERGE must match at most one source row for each target row"

Step = tuple[str, ...]


def _target(context: Context, node: Node) -> Table:
    """The table a statement changes."""
    table = context.tables[node.table_scan.table.serialization_id]
    if table.kind != "TABLE" or table.ref.table.startswith("INFORMATION_SCHEMA."):
        name = f"{table.ref.project}:{table.ref.dataset}.{table.ref.table}"
        message = f"{name} is not allowed for this operation because it is currently a {table.kind}."
        raise BigQueryError("invalidQuery", message, "query")
    for clause in ("returning", "assert_rows_modified"):
        if clause in node.message.DESCRIPTOR.fields_by_name and getattr(node, clause) is not None:
            raise unsupported(clause.replace("_", " ").upper())
    return table


def _value(context: Context, node: Node, name: str, table: Table) -> str:
    """A value to be written: a NULL array is stored as an empty one."""
    if node.value.kind == "DMLDefault":
        field = table.field(name)
        if field.default_expression is not None:
            return context.default_value(field)
        return "[]" if field.mode == "REPEATED" else "NULL"
    return _written(context, expression(context, node.value), types.from_proto(node.value.type))


def _written(context: Context, text: str, kind: Type) -> str:
    return f"coalesce({result(context, text, kind)}, [])" if kind.name == "ARRAY" else text


def _columns(node: Node, table: Table) -> list[tuple[str, str]]:
    """(stored name, name in the translation) of the columns a statement reads of its target."""
    scanned = zip(node.table_scan.column_index_list, node.table_scan.column_list, strict=True)
    return [(table.column_text(index), column(each.column_id)) for index, each in scanned]


def _rows(node: Node, table: Table) -> str:
    """The target's rows with their ids, as a FROM item."""
    items = ["rowid AS _rid", *(f"{name} AS {alias}" for name, alias in _columns(node, table))]
    return f"(SELECT {', '.join(items)} FROM {table.physical})"


def insert(context: Context, node: Node) -> Dml:
    table = _target(context, node)
    if node.insert_mode not in ("OR_ERROR",):
        raise unsupported(f"INSERT {node.insert_mode}")
    names = [each.name for each in node.insert_column_list]
    kinds = [types.from_proto(each.type) for each in node.insert_column_list]
    if node.query is not None:
        select = scan(context, node.query)
        outputs = [column(each.column_id) for each in node.query_output_column_list]
        values = [_written(context, text, kind) for text, kind in zip(outputs, kinds, strict=True)]
        rows = f"SELECT {', '.join(values)} FROM ({select.sql()})"
        some = [f"SELECT true FROM ({rows}) LIMIT 1"]
    else:
        some = []
        rows = "VALUES " + ", ".join(
            f"({', '.join(_value(context, *pair, table) for pair in zip(row.value_list, names, strict=True))})"
            for row in node.row_list
        )
    columns = ", ".join(quote(name) for name in names)
    return Dml("INSERT", table.ref, (("insert", f"INSERT INTO {table.physical} ({columns}) {rows}", *some),))


def delete(context: Context, node: Node) -> Dml:
    table = _target(context, node)
    condition = expression(context, node.where_expr)
    matching = f"SELECT _rid FROM {_rows(node, table)} WHERE {condition}"
    step = ("delete", f"DELETE FROM {table.physical} WHERE rowid IN ({matching})")
    return Dml("DELETE", table.ref, (step,), changed=matching)


def truncate(context: Context, node: Node) -> Dml:
    table = _target(context, node)
    if node.where_expr is not None:
        raise unsupported("TRUNCATE with WHERE")
    return Dml("TRUNCATE_TABLE", table.ref, (("delete", f"DELETE FROM {table.physical}"),))


def _assignments(context: Context, items: list[Node], table: Table) -> list[tuple[str, str]]:
    """(column name, new value) of SET items. Of a STRUCT column single fields may be set, at any depth."""
    assigned: dict[str, str] = {}
    parts: dict[str, tuple[Node, _Parts]] = {}
    for item in items:
        if item.set_value is None:
            raise unsupported("UPDATE of elements of an array")
        target = item.target
        path: list[int] = []
        while target.kind == "GetStructField":
            path.insert(0, target.field_idx)
            target = target.expr
        if target.kind != "ColumnRef":
            raise unsupported(f"UPDATE of a {target.kind}")
        name = target.column.name
        value = _value(context, item.set_value, name, table)
        if not path:
            assigned[name] = value
            continue
        _, within = parts.setdefault(name, (target, {}))
        *outer, last = path
        for index in outer:
            inner = within.setdefault(index, {})
            if not isinstance(inner, dict):
                raise TypeError("the analyzer lets no field be set twice")
            within = inner
        within[last] = value
        assigned[name] = ""
    for name, (target, within) in parts.items():
        assigned[name] = _with_parts(expression(context, target), types.from_proto(target.type), within)
    return list(assigned.items())


#: Places of a STRUCT's fields → new values, or what is new inside.
_Parts = dict[int, "str | _Parts"]


def _with_parts(struct: str, kind: Type, parts: _Parts) -> str:
    """``struct`` with new values in some of its fields."""
    items = []
    for place, (_, member) in enumerate(kind.fields):
        text = f"struct_extract_at({struct}, {place + 1})"
        new = parts.get(place, text)
        items.append(new if isinstance(new, str) else _with_parts(text, member, new))
    message = "Cannot set field of NULL STRUCT"
    return f"CASE WHEN {struct} IS NULL THEN error('{message}') ELSE {literal.struct_of(kind, items)} END"


def update(context: Context, node: Node) -> Dml:
    table = _target(context, node)
    values = _assignments(context, node.update_item_list, table)
    source = _rows(node, table)
    if node.from_scan is not None:
        source += f" CROSS JOIN ({scan(context, node.from_scan).sql()})"
    items = ", ".join(["_rid", *(f"{value} AS _v{place}" for place, (_, value) in enumerate(values))])
    written = [(name, f"_v{place}") for place, (name, _) in enumerate(values)]
    rows = f"SELECT {items} FROM {source} WHERE {expression(context, node.where_expr)}"
    if node.from_scan is None:
        step = _update_step(table, written, f"({rows})")
        return Dml("UPDATE", table.ref, (step,), changed=f"SELECT _rid FROM ({rows})")
    stage = _stage_name()
    check = f"SELECT '{SEVERAL_MATCHES}' FROM {stage} GROUP BY _rid HAVING count(*) > 1 LIMIT 1"
    steps = [
        ("run", _staged(stage, rows)),
        ("check", check),
        _staged_update_step(table, written, stage),
        ("run", f"DROP TABLE {stage}"),
    ]
    return Dml("UPDATE", table.ref, tuple(steps), changed=f"SELECT _rid FROM {stage}")


def _stage_name() -> str:
    return quote(f"_dml_{uuid.uuid4().hex}")


def _staged(stage: str, rows: str) -> str:
    return f"CREATE TEMP TABLE {stage} AS {rows}"


def _update_step(table: Table, values: list[tuple[str, str]], rows: str) -> Step:
    """``values``: the names of the target's columns, and of those of ``rows`` that hold the new values."""
    settings = ", ".join(f"{quote(name)} = _s.{value}" for name, value in values)
    return "update", f"UPDATE {table.physical} AS _t SET {settings} FROM {rows} AS _s WHERE _t.rowid = _s._rid"


def _staged_update_step(table: Table, values: list[tuple[str, str]], stage: str, where: str = "true") -> Step:
    """As :func:`_update_step`, whether there is anything to do, and the same as an INSERT and a DELETE."""
    new = {name.lower(): f"_s.{value} AS {quote(name)}" for name, value in values}
    if table.pseudo_columns or any(field.name.lower() not in new for field in table.schema):
        rows = f"SELECT _t.* REPLACE ({', '.join(new.values())})"
        changed = f"{rows} FROM {table.physical} AS _t JOIN {stage} AS _s ON _t.rowid = _s._rid"
    else:  # nothing is left of the old rows
        changed = f"SELECT {', '.join(new.values())} FROM {stage} AS _s"
    return (
        *_update_step(table, values, f"(FROM {stage} AS _s WHERE {where} ORDER BY _rid)"),
        _some(stage, where),
        f"INSERT INTO {table.physical} BY NAME {changed} WHERE {where}",
        f"DELETE FROM {table.physical} WHERE rowid IN (SELECT _rid FROM {stage} AS _s WHERE {where})",
    )


def _some(stage: str, where: str) -> str:
    return f"SELECT true FROM {stage} AS _s WHERE {where} LIMIT 1"


#: When a MERGE clause applies, of a joined row.
MATCHES = {
    "MATCHED": "_rid IS NOT NULL AND _src",
    "NOT_MATCHED_BY_TARGET": "_rid IS NULL",
    "NOT_MATCHED_BY_SOURCE": "_src IS NULL",
}


def merge(context: Context, node: Node) -> Dml:
    table = _target(context, node)
    clauses = node.when_clause_list
    kinds = {clause.match_type for clause in clauses}
    source = scan(context, node.from_scan)
    source_rows = f"(SELECT true AS _src, * FROM ({source.sql()}))"
    rows_of_both = joined(context, node, _rows(node, table), source_rows, kinds)
    arms = []
    for place, clause in enumerate(clauses):
        condition = f" AND {expression(context, clause.match_expr)}" if clause.match_expr is not None else ""
        arms.append(f"WHEN {MATCHES[clause.match_type]}{condition} THEN {place}")
    reads = ["_rid", *(alias for _, alias in _columns(node, table)), *(column(each) for each in ids(node.from_scan))]
    decided = f"SELECT {', '.join(reads)}, CASE {' '.join(arms)} END AS _action FROM {rows_of_both}"

    stage = _stage_name()
    #: Text and type of a value that is to be written → its name in the stage, and the clauses that write it.
    staged: dict[tuple[str, str], tuple[str, list[int]]] = {}
    deletes: list[int] = []
    updates: list[Step] = []
    inserts: list[Step] = []
    for place, clause in enumerate(clauses):
        if clause.action_type == "DELETE":
            deletes.append(place)
            continue
        if clause.action_type == "UPDATE":
            values = _assignments(context, clause.update_item_list, table)
        else:
            names = [each.name for each in clause.insert_column_list]
            pairs = zip(names, clause.insert_row.value_list, strict=True)
            values = [(name, _value(context, item, name, table)) for name, item in pairs]
        written = []
        for name, value in values:
            kind = types.from_field(table.field(name)).duckdb()
            staged_name, places = staged.setdefault((value, kind), (f"_v{len(staged)}", []))
            places.append(place)
            written.append((name, staged_name))
        where = f"_s._action = {place}"
        if clause.action_type == "UPDATE":
            updates.append(_staged_update_step(table, written, stage, where))
        else:
            columns, new = ", ".join(quote(name) for name, _ in written), ", ".join(value for _, value in written)
            rows = f"SELECT {new} FROM {stage} AS _s WHERE {where}"
            inserts.append(("insert", f"INSERT INTO {table.physical} ({columns}) {rows}", _some(stage, where)))
    items = ["_rid", "_action"]
    for (value, kind), (name, places) in staged.items():
        chosen = ", ".join(map(str, sorted(set(places))))
        items.append(f"CASE WHEN _action IN ({chosen}) THEN CAST({value} AS {kind}) END AS {name}")

    rows = f"SELECT {', '.join(items)} FROM ({decided}) WHERE _action IS NOT NULL"
    steps: list[Step] = [("run", _staged(stage, rows))]
    if "MATCHED" in kinds:
        matched = ", ".join(str(place) for place, clause in enumerate(clauses) if clause.match_type == "MATCHED")
        check = f"WHERE _action IN ({matched}) GROUP BY _rid HAVING count(*) > 1 LIMIT 1"
        steps.append(("check", f"SELECT '{SEVERAL_MATCHES}' FROM {stage} {check}"))
    if deletes:
        chosen = f"SELECT _rid FROM {stage} WHERE _action IN ({', '.join(map(str, deletes))})"
        steps.append(("delete", f"DELETE FROM {table.physical} WHERE rowid IN ({chosen})"))
    steps += [*updates, *inserts, ("run", f"DROP TABLE {stage}")]
    return Dml("MERGE", table.ref, tuple(steps), changed=f"SELECT _rid FROM {stage}")
