"""CREATE TABLE … CLONE, COPY and LIKE, and CREATE SNAPSHOT TABLE."""

from __future__ import annotations

from bq_emulator.model import CopyTable
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate import options
from bq_emulator.sql.translate.context import Context, unsupported
from bq_emulator.sql.translate.names import Names


def is_copy(node: Node) -> bool:
    """Whether a CreateTableStmt takes another table as its model."""
    if node.like_table is not None and node.like_table.name:
        return True
    return node.kind == "CreateTableStmt" and bool(node.clone_from or node.copy_from)


def copy_table(context: Context, names: Names, node: Node) -> CopyTable:
    if node.kind == "CreateSnapshotTableStmt":
        mode, scan = "SNAPSHOT", node.clone_from
    elif node.clone_from:
        mode, scan = "CLONE", node.clone_from
    elif node.copy_from:
        mode, scan = "COPY", node.copy_from
    else:
        mode, scan = "LIKE", None
        if node.kind == "CreateTableAsSelectStmt":
            raise unsupported("CREATE TABLE LIKE with AS SELECT")
    if node.create_scope == "CREATE_TEMP":
        raise unsupported(f"CREATE TEMP TABLE {mode}")
    for clause in ("partition_by_list", "cluster_by_list"):
        if clause in node.message.DESCRIPTOR.fields_by_name and getattr(node, clause):
            raise unsupported(f"CREATE TABLE {mode} with PARTITION BY or CLUSTER BY")
    if scan is not None and scan.for_system_time_expr is not None and not _is_now(scan.for_system_time_expr):
        raise unsupported("FOR SYSTEM_TIME AS OF a moment in the past")
    source = context.tables[(scan.table if scan is not None else node.like_table).serialization_id]
    if source.ref not in context.referenced:
        context.referenced.append(source.ref)
    return CopyTable(
        {"SNAPSHOT": "CREATE_SNAPSHOT_TABLE"}.get(mode, "CREATE_TABLE"),
        target=names.table(node.name_path),
        source=source.ref,
        mode=mode,
        or_replace=node.create_mode == "CREATE_OR_REPLACE",
        if_not_exists=node.create_mode == "CREATE_IF_NOT_EXISTS",
        options=options.evaluate(context, node.option_list),
    )


def _is_now(node: Node) -> bool:
    return node.kind == "FunctionCall" and node.function.name == "ZetaSQL:current_timestamp"
