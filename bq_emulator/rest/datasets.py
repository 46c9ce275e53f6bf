"""datasets (https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets)."""

from __future__ import annotations

import re
from typing import Any

from bq_emulator.grants import DEFAULT_ACCESS
from bq_emulator.metadata import ANONYMOUS_DATASET, DatasetRecord, now_ms
from bq_emulator.model import BigQueryError
from bq_emulator.rest.call import Call, page
from bq_emulator.rest.patching import merge_patch
from bq_emulator.statements import drop_dataset

_NAME = re.compile(r"\w{1,1024}", re.ASCII)
_STORED = ("access", "description", "friendlyName", "labels", "defaultTableExpirationMs", "location",
           "defaultPartitionExpirationMs", "maxTimeTravelHours", "storageBillingModel")  # fmt: skip
_REFUSED = (
    "defaultEncryptionConfiguration",
    "defaultCollation",
    "externalDatasetReference",
    "isCaseInsensitive",
    "linkedDatasetSource",
)


def _present(record: DatasetRecord) -> dict[str, Any]:
    return {
        "kind": "bigquery#dataset",
        "id": f"{record.project}:{record.dataset_id}",
        "selfLink": f"/bigquery/v2/projects/{record.project}/datasets/{record.dataset_id}",
        "datasetReference": {"projectId": record.project, "datasetId": record.dataset_id},
        "access": list(DEFAULT_ACCESS),
        "type": "DEFAULT",
        **record.resource,
    }


def _check(call: Call, resource: dict[str, Any]) -> None:
    for key in _REFUSED:
        if resource.get(key):
            raise BigQueryError("notImplemented", f"The dataset property {key} is not supported by this emulator.")
    location = resource.get("location")
    if location and location.upper() != call.emulator.location.upper():
        raise BigQueryError("invalid", f"Invalid location {location}: this emulator serves {call.emulator.location}.")


def _stored(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: resource[key] for key in _STORED if resource.get(key) is not None}


def list_datasets(call: Call) -> dict[str, Any]:
    with call.emulator.database.session() as db:
        records = call.emulator.metadata.datasets(db)
    records = [r for r in records if call.flag("all") or not r.dataset_id.startswith("_")]
    for condition in re.findall(r"labels\.([^\s:]+)(?::(\S+))?", call.query.get("filter", "")):
        key, value = condition
        records = [r for r in records if key in (labels := r.resource.get("labels", {})) and value in ("", labels[key])]
    keys = ("kind", "id", "datasetReference", "labels", "friendlyName", "location")
    shown, rest = page(records, call)
    entries = [{k: v for k, v in _present(record).items() if k in keys} for record in shown]
    return {"kind": "bigquery#datasetList", "datasets": entries, **rest}


def get(call: Call) -> dict[str, Any]:
    with call.emulator.database.session() as db:
        return _present(call.emulator.metadata.dataset(db, call.path["dataset"]))


def insert(call: Call) -> dict[str, Any]:
    emulator = call.emulator
    name = (call.body.get("datasetReference") or {}).get("datasetId") or ""
    if not _NAME.fullmatch(name) or name == ANONYMOUS_DATASET:
        raise BigQueryError(
            "invalid",
            f'Invalid dataset ID "{name}": letters, digits and underscores, at most 1024.',
        )
    _check(call, call.body)
    resource = {"location": emulator.location, "creationTime": str(now_ms()), **_stored(call.body)}
    record = DatasetRecord(emulator.project, name, resource)
    with emulator.locks.tables([(name, "")]), emulator.database.transaction() as db:
        if emulator.metadata.find_dataset(db, name):
            raise BigQueryError("duplicate", f"Already Exists: Dataset {emulator.project}:{name}")
        emulator.metadata.save_dataset(db, record)
    return _present(record)


def patch(call: Call) -> dict[str, Any]:
    return _change(call, lambda old: merge_patch(old, call.body, _STORED))


def update(call: Call) -> dict[str, Any]:
    def replaced(old: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in old.items() if key not in _STORED or key == "location"} | _stored(
            call.body
        )

    return _change(call, replaced)


def _change(call: Call, change: Any) -> dict[str, Any]:
    emulator, name = call.emulator, call.path["dataset"]
    _check(call, call.body)
    with emulator.locks.tables([(name, "")]), emulator.database.transaction() as db:
        record = emulator.metadata.dataset(db, name)
        call.check_etag(record.resource["etag"])
        record.resource = change(record.resource)
        emulator.metadata.save_dataset(db, record)
    return _present(record)


def delete(call: Call) -> None:
    emulator, name = call.emulator, call.path["dataset"]
    with emulator.locks.dataset(name), emulator.database.transaction() as db:
        emulator.metadata.dataset(db, name)
        drop_dataset(db, emulator.tables, name, call.flag("deleteContents"))


ROUTES = (
    ("GET", "/projects/{project}/datasets", list_datasets),
    ("POST", "/projects/{project}/datasets", insert),
    ("GET", "/projects/{project}/datasets/{dataset}", get),
    ("PATCH", "/projects/{project}/datasets/{dataset}", patch),
    ("PUT", "/projects/{project}/datasets/{dataset}", update),
    ("DELETE", "/projects/{project}/datasets/{dataset}", delete),
)
