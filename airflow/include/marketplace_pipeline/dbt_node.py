"""A node of the dbt project, with the data tests that belong to it, as one Airflow task."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.context import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from marketplace_pipeline.project import invoke_dbt

#: The XCom of check_params with the ids of the tasks that the run's parameter ``select`` leaves out.
UNSELECTED = "unselected"

_BAD = ("error", "fail", "runtime error", "partial success")


class DbtNodeFailed(AirflowFailException):
    """dbt could not build a node, or a test found rows: trying again changes nothing."""


class DbtNode(BaseOperator):
    """Runs ``dbt build`` (or ``dbt test``) for one node and the data tests that belong to it.

    Building and testing are one task, so that whoever clears it after a failure has the node built again and judged
    anew; a test that failed is never repeated on rows that nobody has corrected. Unit tests are left out: what they say
    of the code they have said before it was deployed.

    The task's XCom ``dbt_results`` lists, also after a failure, what dbt did, one entry a node or test: ``unique_id``,
    ``status``, ``seconds``, ``failures`` (rows a test found), ``message``, ``rows_affected``, ``bytes_processed``.

    Args:
        command: ``build``, or ``test`` for a test that is a task of its own.
        node_name: the node as dbt calls it.
        select: the node, in dbt's selection syntax.
        exclude: tests of this node that other tasks run.
        full_refresh: template; "True" rebuilds incremental models from nothing.
        variables: template; dbt's ``--vars`` as JSON, or nothing.

    Raises:
        AirflowSkipException: the run does not select the node.
        DbtNodeFailed: naming what failed, with dbt's message.
    """

    template_fields = ("select", "exclude", "full_refresh", "variables")
    ui_color = "#ffd9c2"

    def __init__(
        self,
        *,
        command: str,
        node_name: str,
        select: str,
        exclude: tuple[str, ...] = (),
        full_refresh: str = "False",
        variables: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.node_name = node_name
        self.select = select
        self.exclude = exclude
        self.full_refresh = full_refresh
        self.variables = variables

    def execute(self, context: Context) -> None:
        if context["params"].get("select") and self.task_id in (
            context["ti"].xcom_pull(task_ids="check_params", key=UNSELECTED) or ()
        ):
            raise AirflowSkipException("The run does not select this node.")
        options = ["--select", self.select]
        if self.exclude:
            options += ["--exclude", *self.exclude]
        if self.command == "build":
            options += ["--exclude-resource-type", "unit_test"]
            if self.full_refresh == "True":
                options += ["--full-refresh"]
        if self.variables:
            options += ["--vars", self.variables]
        # One node at a time: what it may read of the warehouse's catalog is its own datasets.
        outcome = invoke_dbt("--cache-selected-only", self.command, *options)
        results = [_summary(result) for result in getattr(outcome.result, "results", None) or []]
        context["ti"].xcom_push("dbt_results", results)
        if isinstance(outcome.exception, BaseException) and not _is_dbts(outcome.exception):
            raise outcome.exception  # the task was stopped or timed out
        if outcome.exception:
            raise DbtNodeFailed(str(outcome.exception)) from outcome.exception
        if not results:
            raise DbtNodeFailed(f"dbt finds nothing to {self.command} by {self.select!r}: has the project changed?")
        if not outcome.success:
            failed = [f"{r['unique_id']}: {r['message']}" for r in results if r["status"] in _BAD]
            raise DbtNodeFailed("; ".join(failed) or "dbt ended without success and without naming a node: see the log")

    def on_kill(self) -> None:
        """Cancel the queries that dbt has under way."""
        from dbt.adapters.factory import FACTORY

        for adapter in FACTORY.adapters.values():
            if adapter.is_cancelable():
                adapter.cancel_open_connections()


def _summary(result: Any) -> dict[str, Any]:
    """An entry of ``dbt_results`` from dbt's RunResult; ``seconds`` is its execution time."""
    return {
        "unique_id": result.node.unique_id,
        "status": str(result.status),
        "seconds": round(result.execution_time, 3),
        "failures": result.failures,
        "message": result.message,
        "rows_affected": result.adapter_response.get("rows_affected"),
        "bytes_processed": result.adapter_response.get("bytes_processed"),
    }


def _is_dbts(error: BaseException) -> bool:
    from dbt_common.exceptions import DbtBaseException

    return isinstance(error, DbtBaseException)
