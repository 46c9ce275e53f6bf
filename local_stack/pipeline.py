"""Triggers the pipeline's DAG, shows it live, and says what to do when it fails."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import httpx

from local_stack.airbyte_api import AirbyteApi
from local_stack.airflow_api import AirflowApi, Task
from local_stack.board import Board
from local_stack.services import StackError
from local_stack.settings import Settings

DAG_ID = "marketplace_elt_pipeline"
REBUILD_DAG_ID = "marketplace_rebuild"
SYNC = "Sync"
TASKS = "Pipeline"
APPEAR_SECONDS = 120.0
SILENT_SECONDS = 120.0
POLL_SECONDS = 0.5
#: Listing the tasks keeps Airflow's API busy, the longer the busier the machine is: no more than a tenth of the time.
_PAUSE_PER_ANSWER = 9
_LONGEST_PAUSE_SECONDS = 5.0

_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
#: While one of these has not ended there is a sync to be shown, or to come.
_SYNC_TASKS = {"trigger_sync", "wait_for_sync"}


class PipelineFailed(StackError):
    """The DAG run ended and did not succeed."""


def run(settings: Settings, board: Board) -> str:
    """Trigger the DAG, or follow the run that is going on already, until it has succeeded; its id.

    Raises:
        PipelineFailed: with the failing task, the end and the address of its log, and the runbook.
        StackError: if Airflow does not know the DAG.
    """
    airflow = _ready(settings, board, DAG_ID)
    run_id = airflow.active_run(DAG_ID)
    board.set(TASKS, "Run", "busy", f"following {run_id}, which was under way" if run_id else "")
    return _follow(settings, airflow, run_id or airflow.trigger(DAG_ID), board)


def rebuild(settings: Settings, board: Board, **params: Any) -> str:
    """Trigger the rebuilding DAG with these parameters, and follow the pipeline's run that it starts; its id.

    Raises:
        PipelineFailed: as :func:`run`; or the parameters make no sense, as the task's log says.
        StackError: if Airflow does not know the DAGs.
    """
    airflow = _ready(settings, board, DAG_ID, REBUILD_DAG_ID)
    run_id = airflow.trigger(REBUILD_DAG_ID, **params)
    board.set(TASKS, "Run", "busy", "waiting for its start")
    while not airflow.has_run(DAG_ID, run_id):
        state = airflow.run_state(REBUILD_DAG_ID, run_id)
        if state in _ENDED:
            board.set(TASKS, "Run", "failed", run_id)
            raise PipelineFailed("\n".join(_failures(settings, airflow, REBUILD_DAG_ID, run_id)))
        time.sleep(POLL_SECONDS)
    return _follow(settings, airflow, run_id, board)


def _ready(settings: Settings, board: Board, *dag_ids: str) -> AirflowApi:
    """Airflow, with these DAGs as their files and dbt's project are now, unpaused."""
    airflow = AirflowApi(settings.airflow_url, "admin", "admin")
    for dag_id in dag_ids:
        dag = _wait_for_dag(airflow, dag_id, board)
        if settings.dbt_manifest.stat().st_mtime > _parsed_at(dag):
            airflow.reparse(dag, APPEAR_SECONDS)
        airflow.unpause(dag_id)
    return airflow


def _follow(settings: Settings, airflow: AirflowApi, run_id: str, board: Board) -> str:
    state = _watch(settings, airflow, run_id, board)
    board.set(TASKS, "Run", "done" if state == "success" else "failed", run_id)
    if state != "success":
        raise PipelineFailed(_explain(settings, airflow, run_id, state))
    return run_id


def _wait_for_dag(airflow: AirflowApi, dag_id: str, board: Board) -> dict[str, Any]:
    deadline = time.monotonic() + APPEAR_SECONDS
    board.set(TASKS, dag_id, "busy", "waiting for Airflow to read it")
    while (dag := airflow.find_dag(dag_id)) is None or dag["has_import_errors"]:
        if errors := airflow.import_errors():
            board.set(TASKS, dag_id, "failed")
            raise StackError("Airflow cannot import a DAG file:\n" + "\n".join(errors))
        if time.monotonic() > deadline:
            board.set(TASKS, dag_id, "failed")
            raise StackError(
                f"Airflow found no DAG {dag_id} within {APPEAR_SECONDS:.0f} s: see the log of airflow-dag-processor."
            )
        time.sleep(POLL_SECONDS)
    board.set(TASKS, dag_id, "done")
    return dag


def _watch(settings: Settings, airflow: AirflowApi, run_id: str, board: Board) -> str:
    """Show the run until it has ended; its final state."""
    sync = _SyncDisplay(settings, board)
    syncing = False
    answered = time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            state = airflow.run_state(DAG_ID, run_id)
            tasks = airflow.tasks(DAG_ID, run_id)
        except httpx.TransportError as error:
            # A busy machine may hold up an answer or two.
            if time.monotonic() - answered > SILENT_SECONDS:
                raise StackError(
                    f"Airflow at {settings.airflow_url} has not answered for {SILENT_SECONDS:.0f} s. See "
                    f"{settings.logs}/airflow-api-server.log. Run this again: it goes on from there."
                ) from error
            time.sleep(POLL_SECONDS)
            continue
        answered = time.monotonic()
        _show_tasks(tasks, board)
        was_syncing, syncing = syncing, any(task.task_id in _SYNC_TASKS and task.state not in _ENDED for task in tasks)
        if was_syncing or syncing:
            sync.show(ended=state in _ENDED)
        if state in _ENDED:
            return state
        pause = max(POLL_SECONDS, min(_PAUSE_PER_ANSWER * (answered - asked), _LONGEST_PAUSE_SECONDS))
        while time.monotonic() < answered + pause:
            time.sleep(POLL_SECONDS)
            if syncing:
                sync.show(ended=False)


def _show_tasks(tasks: list[Task], board: Board) -> None:
    ended = [task for task in tasks if task.state in _ENDED]
    running = [task.task_id for task in tasks if task.state in ("running", "up_for_reschedule", "deferred")]
    bad = [task.task_id for task in tasks if task.state in ("failed", "upstream_failed")]
    detail = f"{len(ended)} of {len(tasks)} done" + (f", {len(bad)} failed or held back" if bad else "")
    over = len(ended) == len(tasks)
    board.set(TASKS, "Tasks", ("failed" if bad else "done") if over else "busy", detail, share=(len(ended), len(tasks)))
    for task in tasks:
        if task.state == "failed":
            board.set(TASKS, task.task_id, "failed")
        elif task.task_id in running:
            board.set(TASKS, task.task_id, "busy", passing=True)
        elif task.state == "success" and board.knows(TASKS, task.task_id):
            board.set(TASKS, task.task_id, "done", passing=True)


class _SyncDisplay:
    """Rows per stream of the sync, as far as Airbyte tells; the run does not depend on it."""

    def __init__(self, settings: Settings, board: Board) -> None:
        self._settings = settings
        self._board = board
        self._airbyte: AirbyteApi | None = None
        self._job: int | None = None
        #: The job whose end has been shown: its numbers stay.
        self._over: int | None = None

    def show(self, *, ended: bool) -> None:
        try:
            self._airbyte = self._airbyte or AirbyteApi(self._settings.airbyte.url, *self._settings.airbyte_credentials)
            running = self._airbyte.running_job()
            if running is None and self._over == self._job:
                return
            self._job = running or self._job
            for stream in self._airbyte.streams(self._job) if self._job else []:
                over = running is None or ended
                detail = f"{stream.committed:,} rows loaded" if over else f"{stream.read:,} rows read"
                self._board.set(SYNC, stream.name, "done" if over else "busy", detail)
            self._over = self._job if running is None else None
        except httpx.HTTPError:
            self._airbyte = None


def _explain(settings: Settings, airflow: AirflowApi, run_id: str, state: str) -> str:
    lines = [f"The run {run_id} ended as {state}.", *_failures(settings, airflow, DAG_ID, run_id)]
    alerts: dict[str, list[str]] = airflow.xcom(DAG_ID, run_id, "report_run", "alerts") or {}
    for alert, subjects in alerts.items():
        lines.append(f"What to do: runbooks/{alert}.md ({', '.join(subjects)})")
    if not alerts:
        lines.append("What to do: runbooks/README.md; the run ended without a report.")
    lines.append("Then clear the failed tasks in Airflow, or run this again. Nothing was lost.")
    return "\n".join(lines)


def _failures(settings: Settings, airflow: AirflowApi, dag_id: str, run_id: str) -> list[str]:
    lines = []
    for task in airflow.tasks(dag_id, run_id):
        if task.state == "failed":
            lines += [f"Failed task: {task.task_id}. The end of its log:", airflow.log_tail(dag_id, run_id, task)]
            lines.append(f"The whole log: {settings.airflow_url}{airflow.task_page(dag_id, run_id, task)}")
    return lines


def _parsed_at(dag: dict[str, Any]) -> float:
    """When Airflow last read the DAG, in seconds since the epoch."""
    return datetime.fromisoformat(dag["last_parsed_time"]).timestamp()
