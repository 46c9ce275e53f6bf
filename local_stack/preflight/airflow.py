"""Airflow: it answers, its components are well, it has the DAG and the connection to Airbyte."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from local_stack.airflow_api import AirflowApi
from local_stack.pipeline import DAG_ID
from local_stack.preflight.finding import Finding
from local_stack.services import StackError, airflow_health
from local_stack.settings import Settings

_COMPONENTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")


def check(settings: Settings) -> Iterator[Finding]:
    """Findings about AIRFLOW_API_{URL,USERNAME,PASSWORD}, by default the local stack's Airflow."""
    url = settings.get("AIRFLOW_API_URL", settings.airflow_url).rstrip("/")
    health = airflow_health(url)
    if not health:
        yield Finding("missing", f"{url} is no Airflow 3", "Start it (make up), or correct AIRFLOW_API_URL.")
        return
    for component in _COMPONENTS:
        status = (health.get(component) or {}).get("status")
        if status == "healthy":
            yield Finding("good", f"{url}: {component} is healthy")
        else:
            yield Finding("missing", f"{url}: {component} is {status}", f"Start Airflow's {component}; see its log.")
    username, password = settings.get("AIRFLOW_API_USERNAME", "admin"), settings.get("AIRFLOW_API_PASSWORD", "admin")
    try:
        airflow = AirflowApi(url, username, password)
        errors, dag = airflow.import_errors(), airflow.find_dag(DAG_ID)
        connections, pools = airflow.connection_ids(), airflow.missing_pools()
    except (StackError, httpx.HTTPError) as error:
        yield Finding("missing", str(error), "Correct AIRFLOW_API_USERNAME and AIRFLOW_API_PASSWORD.")
        return
    if errors:
        yield Finding(
            "missing", "a DAG file cannot be imported: " + errors[0].strip().rpartition("\n")[2], "See Airflow."
        )
    if dag is None:
        yield Finding("missing", f"there is no DAG {DAG_ID}", "Point Airflow's dags folder at airflow/dags.")
    else:
        yield Finding("good", f"DAG {DAG_ID} is known{', paused' if dag['is_paused'] else ''}")
    for pool in pools:
        advice = "airflow pools import airflow/config/pools.json"
        yield Finding("missing", f"there is no pool {pool}: its tasks would wait for ever", advice)
    if "airbyte_default" not in connections:
        # One of the environment or of a secrets backend is not listed.
        yield Finding("unsure", "no connection airbyte_default in Airflow's database", "See docs/production.md.")
