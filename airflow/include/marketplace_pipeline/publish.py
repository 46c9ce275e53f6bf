"""What a green run publishes: dbt's documentation, and an asset for each mart."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException

from marketplace_pipeline.project import dbt_manifest, dbt_project_dir, invoke_dbt


def mart_assets(marts: Iterable[str]) -> list[Asset]:
    """One asset a mart, named ``marts.fct_orders``; its address is the table's."""
    project = os.environ.get("BIGQUERY_PROJECT", "marketplace-analytics")
    dataset = f"{os.environ.get('DBT_DATASET_PREFIX', '')}marts"
    return [Asset(name=f"marts.{mart}", uri=f"bigquery://{project}/{dataset}/{mart}") for mart in marts]


def write_docs() -> str:
    """Write dbt's documentation, one page that needs no server, beside the manifest; returns its path.

    Raises:
        AirflowFailException: dbt could not read the warehouse's catalog.
    """
    folder = dbt_manifest().parent / "docs"
    done = invoke_dbt("--quiet", "docs", "generate", "--static", "--target-path", str(folder), write_json=True)
    if not done.success:
        raise AirflowFailException(f"dbt could not document {dbt_project_dir()}: {done.exception}")
    return str(Path(folder) / "static_index.html")
