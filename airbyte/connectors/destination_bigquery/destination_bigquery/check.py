"""The ``check`` command: write a row into the dataset and take it away again."""

from __future__ import annotations

import uuid

import pyarrow as pa
from google.cloud import bigquery

from destination_bigquery.config import Config
from destination_bigquery.warehouse import Warehouse

_SCHEMA = [bigquery.SchemaField("probe", "STRING")]


def check(config: Config) -> None:
    """Try everything a sync will do to datasets and tables.

    Raises:
        ConnectorError: telling apart endpoint, project, permission and location.
    """
    warehouse = Warehouse(config)
    warehouse.ensure_dataset(config.dataset)
    warehouse.ensure_dataset(config.internal_dataset)
    name = f"_airbyte_connection_test_{uuid.uuid4().hex[:12]}"
    try:
        warehouse.load(pa.table({"probe": ["ok"]}), _SCHEMA, config.dataset, name, f"{name}_load")
    finally:
        warehouse.drop_table(config.dataset, name)
