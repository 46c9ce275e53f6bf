"""What a process should have in memory before it forks the tasks that use it."""

from __future__ import annotations

import importlib
import logging

from cosmos import settings as cosmos_settings

from marketplace_pipeline.transform import PROFILE, dbt_project_dir, dbt_target

log = logging.getLogger(__name__)


def load_dag_modules() -> None:
    """Import what the DAG files import."""
    for module in ("cosmos.operators.local", "marketplace_pipeline.sync", "marketplace_pipeline.transform"):
        importlib.import_module(module)


def warm_up_dbt() -> None:
    """Import dbt and parse the project once in this process.

    Much of a small task's time is spent on what dbt builds at first use and then keeps: the adapter, validators of its
    configuration classes, readers of its manifest. Parsing makes it build them here, for all forks. It goes to the
    folder in which Cosmos looks for the partial parse of the pipeline's dbt group, so no task need parse the whole
    project either.

    A project that cannot be parsed is reported by the log here, and by every task when it runs.
    """
    for module in ("dbt.adapters.bigquery", "dbt.task.run", "dbt.task.seed", "dbt.task.test", "google.cloud.bigquery"):
        importlib.import_module(module)
    from dbt.cli.main import dbtRunner

    project = str(dbt_project_dir())
    target = str(cosmos_settings.cache_dir / "marketplace_elt_pipeline__dbt" / "target")
    command = ["--quiet", "--log-level-file", "none", "parse", "--project-dir", project, "--profiles-dir", project]
    result = dbtRunner().invoke([*command, "--profile", PROFILE, "--target", dbt_target(), "--target-path", target])
    if not result.success:
        log.error("dbt could not parse %s, its tasks will fail: %s", project, result.exception)
