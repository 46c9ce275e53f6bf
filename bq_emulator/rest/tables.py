"""tables (https://cloud.google.com/bigquery/docs/reference/rest/v2/tables)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from starlette.responses import Response

from bq_emulator.duck import Session
from bq_emulator.emulator import Emulator
from bq_emulator.metadata import REWRITTEN, TableRecord
from bq_emulator.model import BigQueryError, TableRef
from bq_emulator.names import check_table_id
from bq_emulator.partitions import split_decorator
from bq_emulator.rest.call import Call, page
from bq_emulator.rest.partitions_summary import DECORATOR, summary
from bq_emulator.rest.patching import check_properties, check_rounding, merge_patch
from bq_emulator.schema import Schema, schema_from_rest, schema_to_rest, select
from bq_emulator.schema import patch as patch_schema
from bq_emulator.tables import POLICY, STORED_KINDS

_STORED = (
    "description",
    "friendlyName",
    "labels",
    "expirationTime",
    "timePartitioning",
    "rangePartitioning",
    "clustering",
    "tableConstraints",
    "requirePartitionFilter",
)
_FIXED = ("timePartitioning", "rangePartitioning")
_REFUSED = (
    "externalDataConfiguration",
    "encryptionConfiguration",
    "defaultCollation",
    "biglakeConfiguration",
    "maxStaleness",
    "managedTableType",
    "streamingBuffer",
    "model",
    "resourceTags",
    "partitionDefinition",
    "externalCatalogTableOptions",
    "tableReplicationInfo",
)
#: What an answer holds, too, or what is looked at one by one.
_OUTPUT = (
    "kind", "etag", "id", "selfLink", "tableReference", "schema", "view", "materializedView", "type", "location",
    "creationTime", "lastModifiedTime", "numRows", "numBytes", "numPhysicalBytes", "numLongTermBytes",
    "numTotalLogicalBytes", "numActiveLogicalBytes", "numLongTermLogicalBytes", "numTotalPhysicalBytes",
    "numActivePhysicalBytes", "numLongTermPhysicalBytes", "numTimeTravelPhysicalBytes", "numCurrentPhysicalBytes",
    "numPartitions", "materializedViewStatus", "defaultRoundingMode", "replicas", "restrictions",
    "cloneDefinition", "snapshotDefinition",
)  # fmt: skip
#: What the view BASIC leaves out.
_STORAGE_STATISTICS = ("numRows", "numBytes", "numTotalLogicalBytes", "numLongTermBytes", "lastModifiedTime")
_METADATA_VIEWS = ("", "TABLE_METADATA_VIEW_UNSPECIFIED", "BASIC", "STORAGE_STATS", "FULL")


def present(emulator: Emulator, db: Session, record: TableRecord, *, measured: bool = True) -> dict[str, Any]:
    """REST's Table; its bytes only if they are to be ``measured``."""
    ref = record.ref
    resource = {
        "kind": "bigquery#table",
        "id": f"{ref.project}:{ref.dataset}.{ref.table}",
        "selfLink": f"/bigquery/v2/projects/{ref.project}/datasets/{ref.dataset}/tables/{ref.table}",
        "tableReference": {"projectId": ref.project, "datasetId": ref.dataset, "tableId": ref.table},
        "type": record.kind,
        "location": emulator.location,
        **{key: value for key, value in record.resource.items() if key not in (POLICY, REWRITTEN)},
    }
    if record.kind == "MATERIALIZED_VIEW":
        resource["materializedView"] = {
            "enableRefresh": True,
            "refreshIntervalMs": "1800000",
            "lastRefreshTime": record.resource["lastModifiedTime"],
            **record.resource["materializedView"],
        }
    if measured and record.kind in STORED_KINDS:
        size = str(emulator.tables.sizes.total(db, record))
        resource |= {"numBytes": size, "numTotalLogicalBytes": size, "numLongTermBytes": "0"}
    return resource


def _check(resource: dict[str, Any]) -> None:
    check_properties("table", resource, (*_STORED, *_OUTPUT), _REFUSED)
    check_rounding(resource)


def _stored(resource: dict[str, Any]) -> dict[str, Any]:
    return {key: resource[key] for key in _STORED if resource.get(key) is not None}


def _view_query(resource: dict[str, Any]) -> str | None:
    view = resource.get("view") or resource.get("materializedView")
    if not view or "query" not in view:
        return None
    if view.get("useLegacySql"):
        raise BigQueryError(
            "notImplemented", "Legacy SQL views are not supported by this emulator: set useLegacySql to false."
        )
    if view.get("userDefinedFunctionResources"):
        raise BigQueryError("notImplemented", "view.userDefinedFunctionResources is not supported by this emulator.")
    return view["query"]


def _materialized(resource: dict[str, Any]) -> dict[str, Any]:
    """The materialized view's definition and how fresh it shall be; here it is always fresh."""
    keys = ("query", "enableRefresh", "refreshIntervalMs", "allowNonIncrementalDefinition", "maxStaleness")
    given = resource.get("materializedView") or {}
    return {key: given[key] for key in keys if given.get(key) is not None}


def _view_schema(emulator: Emulator, query: str) -> Schema:
    with emulator.database.transaction() as db:
        return emulator.query_runner.view_schema(db, query)


def list_tables(call: Call) -> dict[str, Any]:
    emulator, dataset = call.emulator, call.path["dataset"]
    with emulator.database.session() as db:
        emulator.metadata.dataset(db, dataset)
        records = emulator.metadata.tables(db, dataset)
    shown, rest = page(records, call)
    keys = (
        "labels",
        "friendlyName",
        "timePartitioning",
        "rangePartitioning",
        "clustering",
        "creationTime",
        "expirationTime",
    )
    entries = [
        {
            "kind": "bigquery#table",
            "id": str(record),
            "tableReference": {"projectId": record.ref.project, "datasetId": dataset, "tableId": record.ref.table},
            "type": record.kind,
            **{key: record.resource[key] for key in keys if key in record.resource},
            **({"view": {"useLegacySql": False}} if record.kind == "VIEW" else {}),
        }
        for record in shown
    ]
    return {"kind": "bigquery#tableList", "tables": entries, "totalItems": len(records), **rest}


def get(call: Call) -> dict[str, Any] | Response:
    emulator = call.emulator
    if (view := call.query.get("view", "")) not in _METADATA_VIEWS:
        raise BigQueryError("invalid", f"Invalid value for view: {view}; one of {', '.join(_METADATA_VIEWS[2:])}.")
    is_basic = view == "BASIC"
    with emulator.database.transaction() as db:
        name, partition = split_decorator(call.path["table"])
        record = emulator.metadata.table(db, call.path["dataset"], name)
        if partition == DECORATOR:
            # Nothing is stored, so there is nothing to measure.
            record, partition = replace(summary(db, record), physical=None), None
        if call.headers.get("if-none-match") == record.etag:
            return Response(status_code=304)
        resource = present(emulator, db, record, measured=not is_basic)
        if partition:
            emulator.tables.partition_condition(record, partition)  # it must be one
        if partition and not is_basic:
            resource["numRows"] = str(emulator.tables.count(db, record, partition))
            size = str(emulator.tables.sizes.total(db, record, partition))
            resource |= {"numBytes": size, "numTotalLogicalBytes": size}
    if is_basic:
        resource = {key: value for key, value in resource.items() if key not in _STORAGE_STATISTICS}
    if names := call.query.get("selectedFields"):
        resource["schema"] = schema_to_rest(select(record.schema, names, str(record)))
    return resource


def insert(call: Call) -> dict[str, Any]:
    emulator, dataset = call.emulator, call.path["dataset"]
    name = (call.body.get("tableReference") or {}).get("tableId") or ""
    check_table_id(name)
    _check(call.body)
    resource = _stored(call.body)
    query = _view_query(call.body)
    if query is None:
        kind, schema = "TABLE", schema_from_rest(call.body.get("schema"))
    else:
        schema = _described(_view_schema(emulator, query), call.body)
        if call.body.get("materializedView"):
            kind = "MATERIALIZED_VIEW"
            resource["materializedView"] = _materialized(call.body)
        else:
            kind = "VIEW"
            resource["view"] = {"query": query, "useLegacySql": False}
    with emulator.locks.tables([(dataset, name)]), emulator.database.transaction() as db:
        emulator.metadata.dataset(db, dataset)
        record = emulator.tables.create(db, TableRef(emulator.project, dataset, name), schema, resource, kind)
        return present(emulator, db, record)


def _described(schema: Schema, resource: dict[str, Any]) -> Schema:
    """A view's columns with the descriptions given along."""
    given = schema_from_rest(resource.get("schema"))
    return patch_schema("the view", schema, given) if given else schema


def patch(call: Call) -> dict[str, Any]:
    return _change(call, lambda old: merge_patch(old, call.body, _STORED))


def update(call: Call) -> dict[str, Any]:
    def replaced(old: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in old.items() if key not in _STORED or key in _FIXED}
        return kept | _stored(call.body)

    return _change(call, replaced)


def _change(call: Call, change: Any) -> dict[str, Any]:
    emulator, dataset, name = call.emulator, call.path["dataset"], call.path["table"]
    _check(call.body)
    query = _view_query(call.body)
    view_schema = _view_schema(emulator, query) if query is not None else None
    with emulator.locks.tables([(dataset, name)]), emulator.database.transaction() as db:
        record = emulator.metadata.table(db, dataset, name)
        call.check_etag(record.etag)
        old = record.resource
        record.resource = change(old)
        _check_layout(record, old)
        schema = record.schema
        if view_schema is not None:
            if record.kind == "MATERIALIZED_VIEW":
                if query != record.resource["materializedView"]["query"]:
                    raise BigQueryError("invalid", f"Cannot change the query of the materialized view {record}.")
            elif record.kind != "VIEW":
                raise BigQueryError("invalid", f"Cannot give {record} a view query: it is a {record.kind}.")
            else:
                record.resource["view"] = {"query": query, "useLegacySql": False}
                schema = view_schema
        if record.kind == "MATERIALIZED_VIEW":
            record.resource["materializedView"] = {**record.resource["materializedView"], **_materialized(call.body)}
        if given := schema_from_rest(call.body.get("schema")):
            schema = patch_schema(str(record), schema, given)
        # set_schema compares with the stored schema, so this comes last.
        emulator.tables.set_schema(db, record, schema)
        return present(emulator, db, record)


def _check_layout(record: TableRecord, old: dict[str, Any]) -> None:
    """Partitioning is for life; only the partitions' expiration may change."""
    for key in _FIXED:
        before, after = (
            {**(r.get(key) or {}), "expirationMs": None, "requirePartitionFilter": None} for r in (old, record.resource)
        )
        if before != after:
            raise BigQueryError("invalid", f"Cannot change partitioning of table {record}.")


def delete(call: Call) -> None:
    emulator, dataset = call.emulator, call.path["dataset"]
    name, partition = split_decorator(call.path["table"])
    with emulator.locks.tables([(dataset, name)]), emulator.database.transaction() as db:
        record = emulator.metadata.table(db, dataset, name)
        call.check_etag(record.etag)
        if partition is None:
            emulator.tables.drop(db, record)
        else:
            emulator.tables.empty_partition(db, record, partition)


_TABLES = "/projects/{project}/datasets/{dataset}/tables"
ROUTES = (
    ("GET", _TABLES, list_tables),
    ("POST", _TABLES, insert),
    ("GET", _TABLES + "/{table}", get),
    ("PATCH", _TABLES + "/{table}", patch),
    ("PUT", _TABLES + "/{table}", update),
    ("DELETE", _TABLES + "/{table}", delete),
)
