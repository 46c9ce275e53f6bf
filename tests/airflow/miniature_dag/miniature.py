"""The transformation alone, for the dbt project that DBT_PROJECT_DIR names."""

from airflow.sdk import DAG
from marketplace_pipeline.transform import dbt_tasks

with DAG(dag_id="miniature", schedule=None, default_args={"owner": "tests"}):
    dbt_tasks("dbt")
