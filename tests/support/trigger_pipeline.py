"""Run inside the containers' network: trigger the pipeline as its users do, wait, print what came of it as JSON."""

import contextlib
import json
import os
import time

import httpx
import psycopg
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local_stack.airflow_api import AirflowApi

DAG = "marketplace_elt_pipeline"

airflow = AirflowApi("http://airflow-api-server:8080", "admin", os.environ["AIRFLOW_ADMIN_PASSWORD"])
while airflow.find_dag(DAG) is None and not airflow.import_errors():
    time.sleep(0.5)
assert not airflow.import_errors(), airflow.import_errors()
airflow.unpause(DAG)
run = airflow.trigger(DAG)
deadline = time.monotonic() + float(os.environ["PATIENCE"])
state = "unknown"
while state not in ("success", "failed") and time.monotonic() < deadline:
    time.sleep(1)
    with contextlib.suppress(httpx.TimeoutException):  # a machine with too much to do answers later
        state = airflow.run_state(DAG, run)
tasks = airflow.tasks(DAG, run)
logs = {task.task_id: airflow.log_tail(DAG, run, task) for task in tasks if task.state == "failed"}
unfinished = {task.task_id: task.state for task in tasks if task.state not in ("success", "skipped", "failed")}
with psycopg.connect(os.environ["SOURCE_DB_DSN"]) as source:
    (orders,) = source.execute("SELECT count(*) FROM orders").fetchone()
client = bigquery.Client(
    os.environ["BIGQUERY_PROJECT"],
    credentials=AnonymousCredentials(),
    client_options={"api_endpoint": os.environ["BIGQUERY_API_ENDPOINT"]},
)
[(mart,)] = client.query_and_wait("SELECT COUNT(*) FROM marts.fct_orders") if state == "success" else [(None,)]
print(json.dumps({"state": state, "orders": orders, "fct_orders": mart, "logs": logs, "unfinished": unfinished}))
