"""ALTER TABLE's changes of primary and foreign keys, which nothing enforces (as on Google)."""

from __future__ import annotations

from typing import Any

from bq_emulator.metadata import TableRecord
from bq_emulator.model import BigQueryError


def alter_constraints(record: TableRecord, action: dict[str, Any]) -> None:
    """Carry out an add_primary_key, drop_primary_key, add_foreign_key or drop_constraint on ``record``'s resource.

    Raises:
        BigQueryError: invalidQuery for a key that exists already or is not there.
    """
    keys = dict(record.resource.get("tableConstraints") or {})
    foreign = list(keys.get("foreignKeys") or ())
    match action["action"]:
        case "add_primary_key":
            if "primaryKey" in keys:
                if action["if_not_exists"]:
                    return
                raise BigQueryError("invalidQuery", f"Already Exists: primary key of {record}", "query")
            keys["primaryKey"] = {"columns": list(action["columns"])}
        case "drop_primary_key":
            if keys.pop("primaryKey", None) is None and not action["if_exists"]:
                raise BigQueryError("invalidQuery", f"{record} has no primary key", "query")
        case "add_foreign_key":
            key = action["key"]
            name = key.get("name") or f"fk${len(foreign) + 1}"
            if any(each.get("name") == name for each in foreign):
                raise BigQueryError("invalidQuery", f"Already Exists: constraint {name} of {record}", "query")
            foreign.append({**key, "name": name})
        case "drop_constraint":
            kept = [each for each in foreign if each.get("name") != action["name"]]
            if len(kept) == len(foreign) and not action["if_exists"]:
                raise BigQueryError("invalidQuery", f"{record} has no constraint {action['name']}", "query")
            foreign = kept
    keys.pop("foreignKeys", None)
    if foreign:
        keys["foreignKeys"] = foreign
    record.resource.pop("tableConstraints", None)
    if keys:
        record.resource["tableConstraints"] = keys
