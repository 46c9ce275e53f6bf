"""INFORMATION_SCHEMA and ``__TABLES__``: tables made of the metadata when a query names them.

Columns as in https://cloud.google.com/bigquery/docs/information-schema-intro; those the emulator knows nothing about
are left out, so that a query for them is refused by name.
"""

from __future__ import annotations

import secrets

from bq_emulator.duck import Session, identifier
from bq_emulator.information_schema import constraints, datasets, jobs, routines, storage, tables
from bq_emulator.information_schema.source import Source, View
from bq_emulator.model import BigQueryError, Table, TableRef
from bq_emulator.tables import Tables

_PREFIX = "INFORMATION_SCHEMA."
#: Views of datasets, which are those of the region whatever dataset they are asked of.
_OF_DATASETS = {*datasets.VIEWS}

VIEWS: dict[str, View] = {
    **datasets.VIEWS,
    **tables.VIEWS,
    **constraints.VIEWS,
    **storage.VIEWS,
    **routines.VIEWS,
    **jobs.VIEWS,
    **datasets.PRIVILEGES,
}


def is_virtual(ref: TableRef) -> bool:
    return ref.table.upper().startswith(_PREFIX) or ref.table == "__TABLES__"


def read(db: Session, engine: Tables, ref: TableRef) -> Table | None:
    """The virtual table ``ref``, readable in this session; None if its dataset does not exist, or has no such view.

    Raises:
        BigQueryError: notImplemented for a view this emulator has not.
    """
    name = ref.table.upper().removeprefix(_PREFIX)
    view = VIEWS.get(name)
    if view is None:
        raise BigQueryError(
            "notImplemented", f"INFORMATION_SCHEMA.{name} is not in this emulator; it has {', '.join(sorted(VIEWS))}."
        )
    metadata = engine.metadata
    everywhere = name in _OF_DATASETS
    if ref.dataset.lower() == f"region-{metadata.location}".lower() or (not ref.dataset and everywhere):
        found = metadata.datasets(db)
    else:
        dataset = metadata.find_dataset(db, ref.dataset)
        if dataset is None or name in jobs.VIEWS:
            return None
        found = metadata.datasets(db) if everywhere else [dataset]
    physical = f"__virtual_{secrets.token_hex(6)}"
    db.register(physical, view.arrow(list(view.rows(Source(db, engine, found)))))
    return Table(ref, "VIEW", view.schema, identifier(physical))
