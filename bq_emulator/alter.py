"""ALTER TABLE and ALTER VIEW."""

from __future__ import annotations

from dataclasses import replace

from bq_emulator.constraints import alter_constraints
from bq_emulator.duck import Session
from bq_emulator.metadata import TableRecord
from bq_emulator.model import AlterTable, BigQueryError, Field
from bq_emulator.options import apply_table_options
from bq_emulator.schema import find
from bq_emulator.stored import check_widening
from bq_emulator.tables import Tables


def alter(db: Session, tables: Tables, record: TableRecord, statement: AlterTable) -> None:
    """Carry out the actions in order, then give the table its new schema in one step.

    Raises:
        BigQueryError: invalidQuery for an action the table does not allow, notImplemented for one unknown here.
    """
    schema = list(record.schema)
    sources = {f.name: f.name for f in schema}  # new column → old column
    rename_to = None
    for action in statement.actions:
        match action["action"]:
            case "add_column":
                if find(tuple(schema), action["field"].name):
                    if not action["if_not_exists"]:
                        raise BigQueryError("invalidQuery", f"Column already exists: {action['field'].name}", "query")
                elif action["field"].mode == "REQUIRED":
                    raise BigQueryError(
                        "invalidQuery",
                        f"Cannot add required columns to an existing schema: {action['field'].name}",
                        "query",
                    )
                else:
                    schema.append(action["field"])
                    # A column dropped and added again by one statement starts empty.
                    sources[action["field"].name] = ""
            case "drop_column":
                if (column := _column(record, schema, action["name"], action["if_exists"])) is not None:
                    _refuse_if_used(record, column.name)
                    schema.remove(column)
                    del sources[column.name]
            case "rename_column":
                if (column := _column(record, schema, action["old"], action["if_exists"])) is not None:
                    if find(tuple(schema), action["new"]):
                        raise BigQueryError("invalidQuery", f"Column already exists: {action['new']}", "query")
                    _refuse_if_used(record, column.name)
                    schema[schema.index(column)] = replace(column, name=action["new"])
                    sources[action["new"]] = sources.pop(column.name)
            case "alter_column_type":
                column = _required_column(record, schema, action["name"])
                new = action["field"]
                check_widening(column, new)
                schema[schema.index(column)] = replace(
                    new,
                    name=column.name,
                    mode=column.mode,
                    description=column.description,
                    default_expression=column.default_expression,
                )
            case "drop_not_null":
                column = _required_column(record, schema, action["name"])
                if column.mode != "REQUIRED":
                    raise BigQueryError("invalidQuery", f"Column {column.name} of {record} is not NOT NULL", "query")
                schema[schema.index(column)] = replace(column, mode="NULLABLE")
            case "set_default":
                column = _required_column(record, schema, action["name"])
                schema[schema.index(column)] = replace(column, default_expression=action["expression"])
            case "drop_default":
                column = _required_column(record, schema, action["name"])
                schema[schema.index(column)] = replace(column, default_expression=None)
            case "add_primary_key" | "drop_primary_key" | "add_foreign_key" | "drop_constraint":
                alter_constraints(record, action)
            case "set_column_options":
                column = _required_column(record, schema, action["name"])
                if unknown := set(action["options"]) - {"description"}:
                    raise BigQueryError(
                        "notImplemented",
                        f"Column options are not supported by this emulator: {', '.join(sorted(unknown))}",
                    )
                schema[schema.index(column)] = replace(column, description=action["options"]["description"])
            case "set_options":
                apply_table_options(record.resource, action["options"])
            case "rename_to":
                rename_to = action["name"]
            case other:
                raise BigQueryError("notImplemented", f"ALTER action {other} is not supported by this emulator.")
    renamed = {new: old for new, old in sources.items() if new != old}
    kept_in_order = [sources[f.name] for f in schema if sources[f.name]] == [f.name for f in record.schema]
    only_appended = kept_in_order and set(renamed.values()) <= {""}
    tables.set_schema(db, record, tuple(schema), {} if only_appended else renamed)
    if rename_to is not None:
        _rename(db, tables, record, rename_to)


def _column(record: TableRecord, schema: list[Field], name: str, if_exists: bool) -> Field | None:
    column = find(tuple(schema), name)
    return None if column is None and if_exists else column or _required_column(record, schema, name)


def _required_column(record: TableRecord, schema: list[Field], name: str) -> Field:
    column = find(tuple(schema), name)
    if column is None:
        raise BigQueryError("invalidQuery", f"Column not found: {name} in {record}", "query")
    return column


def _refuse_if_used(record: TableRecord, column: str) -> None:
    """Partitioning and clustering columns can be neither dropped nor renamed."""
    resource = record.resource
    used = [(resource.get(key) or {}).get("field") for key in ("timePartitioning", "rangePartitioning")]
    used += (resource.get("clustering") or {}).get("fields") or []
    if column.lower() in {str(name).lower() for name in used}:
        raise BigQueryError(
            "invalidQuery", f"Column {column} of {record} is used for partitioning or clustering.", "query"
        )


def _rename(db: Session, tables: Tables, record: TableRecord, name: str) -> None:
    if tables.metadata.find_table(db, record.ref.dataset, name):
        raise BigQueryError("duplicate", f"Already Exists: Table {record.ref.project}:{record.ref.dataset}.{name}")
    tables.metadata.delete_table(db, record)
    record.ref = replace(record.ref, table=name)
    tables.metadata.save_table(db, record)
