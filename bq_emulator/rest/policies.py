"""IAM policies of tables (https://cloud.google.com/bigquery/docs/reference/rest/v2/tables/getIamPolicy)."""

from __future__ import annotations

from typing import Any

from bq_emulator.grants import bindings, policy
from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError
from bq_emulator.rest.call import Call
from bq_emulator.tables import POLICY


def _present(record: TableRecord) -> dict[str, Any]:
    return {**policy(bindings(record.resource.get(POLICY))), "etag": record.etag}


def get(call: Call) -> dict[str, Any]:
    with call.emulator.database.session() as db:
        return _present(call.emulator.metadata.table(db, call.path["dataset"], call.path["table"]))


def set_policy(call: Call) -> dict[str, Any]:
    emulator, dataset, table = call.emulator, call.path["dataset"], call.path["table"]
    given = call.body.get("policy") or {}
    for binding in given.get("bindings") or ():
        if not binding.get("role") or binding.get("condition"):
            raise BigQueryError("invalid", f"A binding needs a role, and has no condition here: {binding}")
    with emulator.locks.tables([(dataset, table)]), emulator.database.transaction() as db:
        record = emulator.metadata.table(db, dataset, table)
        if given.get("etag") and given["etag"] != record.etag:
            raise BigQueryError("conditionNotMet", "Precondition check failed: the policy was changed meanwhile.")
        record.resource[POLICY] = policy({role: members for role, members in bindings(given).items() if members})
        emulator.metadata.save_table(db, record)
        return _present(record)


def test_permissions(call: Call) -> dict[str, Any]:
    """The caller may do everything."""
    with call.emulator.database.session() as db:
        call.emulator.metadata.table(db, call.path["dataset"], call.path["table"])
    return {"permissions": call.body.get("permissions") or []}


_TABLE = "/projects/{project}/datasets/{dataset}/tables/{table}"
ROUTES = (
    ("POST", _TABLE + ":getIamPolicy", get),
    ("POST", _TABLE + ":setIamPolicy", set_policy),
    ("POST", _TABLE + ":testIamPermissions", test_permissions),
)
