"""What a failed task leaves behind for the end of its run. Imported by DAG files, so it imports little."""

from __future__ import annotations

from airflow.sdk.definitions.context import Context

FAILURE_KEY = "failure"
_LONGEST = 8000  # characters


def remember_failure(context: Context) -> None:
    """``on_failure_callback`` of every task: leaves what went wrong for ``run_end.close_run``, which tells it."""
    error = context.get("exception")
    message = f"{type(error).__name__}: {error}" if error is not None else "no message; see the log"
    instance = context["ti"]
    instance.xcom_push(key=FAILURE_KEY, value={"message": message[:_LONGEST], "log_url": instance.log_url})
