"""The ``check`` command: write a row into the dataset and take it away again."""

from __future__ import annotations

import io
import uuid

import pyarrow as pa
import pyarrow.parquet as pq

from destination_bigquery.config import Config
from destination_bigquery.warehouse import Warehouse


def check(config: Config) -> None:
    """Try everything a sync will do to datasets and tables.

    Raises:
        ConnectorError: telling apart endpoint, credentials, API, project, permission and location.
    """
    warehouse = Warehouse(config)
    file = io.BytesIO()
    pq.write_table(pa.table({"probe": ["ok"]}), file)
    for dataset in dict.fromkeys((config.dataset, config.internal_dataset)):
        warehouse.ensure_dataset(dataset)
        name = f"_airbyte_connection_test_{uuid.uuid4().hex[:12]}"
        try:
            warehouse.create_table(dataset, name, [{"name": "probe", "type": "STRING"}])
            warehouse.load(file.getvalue(), dataset, name, f"{name}_load")
        finally:
            warehouse.drop_table(dataset, name)
