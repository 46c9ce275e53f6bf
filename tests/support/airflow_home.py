"""A home and a database of its own for Airflow, wherever in the suite it is imported.

Airflow reads AIRFLOW_HOME when it is first imported, and writes to the user's home without it: this module is imported
before any test module is. Settings go into airflow.cfg, not into variables, so that the services that tests start do
not inherit them.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="marketplace-airflow-"))
(AIRFLOW_HOME / "airflow.cfg").write_text(
    f"""
[core]
load_examples = False
dags_folder = {Path(__file__).parents[1] / "airflow" / "miniature_dag"}
[database]
sql_alchemy_conn = sqlite:///{AIRFLOW_HOME}/airflow.db
[logging]
base_log_folder = {AIRFLOW_HOME}/logs
[state_store]
clear_on_success = True
[cosmos]
cache_dir = {AIRFLOW_HOME}/cosmos
enable_telemetry = False
enable_orjson_parser = True
"""
)
os.environ["AIRFLOW_HOME"] = str(AIRFLOW_HOME)
