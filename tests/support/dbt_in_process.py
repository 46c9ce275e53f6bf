"""Import this to run dbt in a test's process at its own speed: as in Airflow's tasks, whose stacks are deep, too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "airflow" / "include"))

from marketplace_pipeline.project import answer_behavior_flags_quickly

answer_behavior_flags_quickly()
