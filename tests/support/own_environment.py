"""The suite's own environment: nothing of the developer's settings, and a home and a database of its own for Airflow.

Airflow reads AIRFLOW_HOME when it is first imported, and writes to the user's home without it: this module is imported
before any test module is. Settings go into airflow.cfg, not into variables, so that the services that tests start do
not inherit them.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from local_stack.settings import isolate

#: What the platform's variables begin with.
PLATFORM = (
    "AIRBYTE_", "AIRFLOW", "ALERT_", "BIGQUERY_", "DBT_", "GOOGLE_", "LOCAL_STACK_DIR", "METADATA_", "OCTAVIA_",
    "PIPELINE_", "SOURCE_",
)  # fmt: skip

#: What the developer's terminal can show.
TERMINAL = ("COLUMNS", "LINES", "TERM", "NO_COLOR", "FORCE_COLOR")

for name in [name for name in os.environ if name.startswith(PLATFORM) or name in TERMINAL]:
    del os.environ[name]
os.environ["LOCAL_STACK_ENV_FILE"] = os.devnull  # the developer's .env is not the suite's
isolate(os.environ)

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
