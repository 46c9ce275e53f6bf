"""Who was granted which role on tables and datasets. Recorded and shown; the emulator lets everybody do everything.

A table's bindings are kept as REST's Policy in its record; a dataset's are its ``access`` entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bq_emulator.duck import Session
from bq_emulator.metadata import DatasetRecord
from bq_emulator.model import BigQueryError, Grant
from bq_emulator.tables import POLICY, Tables

DEFAULT_ACCESS = (
    {"role": "WRITER", "specialGroup": "projectWriters"},
    {"role": "OWNER", "specialGroup": "projectOwners"},
    {"role": "OWNER", "userByEmail": "emulator@localhost"},
    {"role": "READER", "specialGroup": "projectReaders"},
)
#: https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets#Dataset.FIELDS.access
_BASIC_ROLES = {
    "roles/bigquery.dataOwner": "OWNER",
    "roles/bigquery.dataEditor": "WRITER",
    "roles/bigquery.dataViewer": "READER",
}
_ROLE_NAMES = {basic: role for role, basic in _BASIC_ROLES.items()}
_MEMBER_KEYS = {"user": "userByEmail", "serviceAccount": "userByEmail", "group": "groupByEmail", "domain": "domain"}
_KEY_MEMBERS = {"userByEmail": "user", "groupByEmail": "group", "domain": "domain", "specialGroup": "specialGroup"}


def bindings(policy: dict[str, Any] | None) -> dict[str, list[str]]:
    """Role → members of a Policy resource."""
    return {each["role"]: list(each["members"]) for each in (policy or {}).get("bindings", ())}


def policy(granted: dict[str, list[str]]) -> dict[str, Any]:
    """REST's Policy."""
    return {"version": 1, "bindings": [{"role": role, "members": granted[role]} for role in sorted(granted)]}


def carry_out(db: Session, tables: Tables, statement: Grant) -> None:
    """Raises BigQueryError notFound for the table or dataset, invalidQuery for an object of another type."""
    if statement.object_type == "SCHEMA":
        dataset = tables.metadata.dataset(db, statement.target.dataset)
        dataset.resource["access"] = _changed_access(access(dataset), statement)
        tables.metadata.save_dataset(db, dataset)
        return
    record = tables.metadata.table(db, statement.target.dataset, statement.target.table)
    kinds = ("TABLE", "SNAPSHOT") if statement.object_type == "TABLE" else (statement.object_type.replace(" ", "_"),)
    # Google takes a materialized view as a view, too.
    if record.kind not in (*kinds, *(("MATERIALIZED_VIEW",) if "VIEW" in kinds else ())):
        raise BigQueryError(
            "invalidQuery", f"{record} is not a {statement.object_type}: it is a {record.kind}.", "query"
        )
    granted = bindings(record.resource.get(POLICY))
    for role in statement.roles:
        members = granted.pop(role, [])
        if statement.revoke:
            members = [member for member in members if member not in statement.members]
        else:
            members += [member for member in statement.members if member not in members]
        if members:
            granted[role] = members
    record.resource[POLICY] = policy(granted)
    tables.metadata.save_table(db, record)


def access(dataset: DatasetRecord) -> list[dict[str, Any]]:
    """The dataset's access entries."""
    return list(dataset.resource.get("access") or DEFAULT_ACCESS)


def _changed_access(entries: list[dict[str, Any]], statement: Grant) -> list[dict[str, Any]]:
    changed = [_entry(role, member) for role in statement.roles for member in statement.members]
    if statement.revoke:
        return [entry for entry in entries if entry not in changed]
    return entries + [entry for entry in changed if entry not in entries]


def _entry(role: str, member: str) -> dict[str, Any]:
    kind, _, name = member.rpartition(":")
    key = _MEMBER_KEYS.get(kind)
    shown = _BASIC_ROLES.get(role, role)
    return {"role": shown, key: name} if key else {"role": shown, "iamMember": member}


def dataset_privileges(dataset: DatasetRecord) -> Iterator[tuple[str, str]]:
    """(role, grantee) of a dataset's access entries; authorized views and routines are no grantees."""
    for entry in access(dataset):
        for key, value in entry.items():
            if key == "iamMember":
                yield _role_name(entry), value
            elif key in _KEY_MEMBERS:
                yield _role_name(entry), f"{_KEY_MEMBERS[key]}:{value}"


def table_privileges(resource: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """(role, grantee) of a table's policy."""
    return [(role, member) for role, members in bindings(resource.get(POLICY)).items() for member in members]


def _role_name(entry: dict[str, Any]) -> str:
    role = str(entry.get("role", ""))
    return _ROLE_NAMES.get(role, role)
