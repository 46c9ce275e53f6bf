"""The daily pipeline, for the dbt project that DBT_PROJECT_DIR names: dag.test() wants DAGs in Airflow's folder."""

import runpy
from pathlib import Path

runpy.run_path(str(Path(__file__).parents[3] / "airflow" / "dags" / "marketplace_elt_pipeline.py"))
