"""GRANT and REVOKE (https://cloud.google.com/bigquery/docs/reference/standard-sql/data-control-language)."""

from __future__ import annotations

import re

from bq_emulator.model import BigQueryError, Grant, TableRef
from bq_emulator.sql.resolved import Node
from bq_emulator.sql.translate import options
from bq_emulator.sql.translate.context import Context, unsupported
from bq_emulator.sql.translate.names import Names

_OBJECT_TYPES = ("SCHEMA", "TABLE", "VIEW", "MATERIALIZED VIEW", "EXTERNAL TABLE")
_MEMBER = re.compile(
    r"(user|group|serviceAccount):[^@\s]+@[^@\s]+|(domain|projectOwner|projectEditor|projectViewer):[^@\s]+"
    r"|(principal|principalSet)://\S+|specialGroup:allAuthenticatedUsers|allUsers|allAuthenticatedUsers"
)


def grant(context: Context, names: Names, node: Node) -> Grant:
    kind = " ".join(node.object_type_list).upper()
    if kind not in _OBJECT_TYPES:
        raise unsupported(f"{'GRANT' if node.kind == 'GrantStmt' else 'REVOKE'} on {kind or 'an object without type'}")
    target = TableRef(*names.dataset(node.name_path), "") if kind == "SCHEMA" else names.table(node.name_path)
    roles = tuple(privilege.action_type for privilege in node.privilege_list)
    for role in roles:
        if "/" not in role:
            raise BigQueryError("invalidQuery", f"Unsupported role in GRANT or REVOKE: {role}", "query")
    members = tuple(str(options.constant(context, each)) for each in node.grantee_expr_list)
    for member in members:
        if not _MEMBER.fullmatch(member):
            raise BigQueryError("invalidQuery", f"Invalid value: Invalid user/group: {member}", "query")
    return Grant(
        "GRANT" if node.kind == "GrantStmt" else "REVOKE",
        target=target,
        object_type=kind,
        roles=roles,
        members=members,
        revoke=node.kind == "RevokeStmt",
    )
