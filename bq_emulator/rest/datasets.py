"""datasets (https://cloud.google.com/bigquery/docs/reference/rest/v2/datasets)."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from bq_emulator.grants import DEFAULT_ACCESS
from bq_emulator.metadata import ANONYMOUS_DATASET, DatasetRecord, now_ms
from bq_emulator.model import BigQueryError
from bq_emulator.names import check_dataset_id
from bq_emulator.rest.call import Call, page
from bq_emulator.rest.patching import check_properties, check_rounding, merge_patch
from bq_emulator.statements import drop_dataset

_STORED = ("access", "description", "friendlyName", "labels", "defaultTableExpirationMs", "location",
           "defaultPartitionExpirationMs", "maxTimeTravelHours", "storageBillingModel")  # fmt: skip
_REFUSED = (
    "defaultEncryptionConfiguration",
    "defaultCollation",
    "externalDatasetReference",
    "isCaseInsensitive",
    "linkedDatasetSource",
    "externalCatalogDatasetOptions",
    "linkedDatasetMetadata",
    "resourceTags",
)
_OUTPUT = ("kind", "etag", "id", "selfLink", "datasetReference", "creationTime", "lastModifiedTime", "type",
           "defaultRoundingMode", "satisfiesPzs", "satisfiesPzi", "tags", "restrictions")  # fmt: skip


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
    check_properties("dataset", resource, (*_STORED, *_OUTPUT), _REFUSED)
    check_rounding(resource)
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


def get(call: Call) -> dict[str, Any] | Response:
    with call.emulator.database.session() as db:
        record = call.emulator.metadata.dataset(db, call.path["dataset"])
    if call.headers.get("if-none-match") == record.resource["etag"]:
        return Response(status_code=304)
    return _present(record)


def insert(call: Call) -> dict[str, Any]:
    emulator = call.emulator
    name = (call.body.get("datasetReference") or {}).get("datasetId") or ""
    check_dataset_id(name)
    if name == ANONYMOUS_DATASET:
        raise BigQueryError("invalid", f"Invalid dataset ID {name}: the emulator keeps results there.")
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
        call.check_etag(emulator.metadata.dataset(db, name).resource["etag"])
        drop_dataset(db, emulator.tables, name, call.flag("deleteContents"))


ROUTES = (
    ("GET", "/projects/{project}/datasets", list_datasets),
    ("POST", "/projects/{project}/datasets", insert),
    ("GET", "/projects/{project}/datasets/{dataset}", get),
    ("PATCH", "/projects/{project}/datasets/{dataset}", patch),
    ("PUT", "/projects/{project}/datasets/{dataset}", update),
    ("DELETE", "/projects/{project}/datasets/{dataset}", delete),
)
