"""A DAG run in this process that goes red, is cleared as in the UI, and goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import clear_task_instances
from airflow.sdk import DAG
from airflow.sdk.definitions.dag import _run_task
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select


@dataclass
class Run:
    """A run of the DAG in ``folder``; what its tasks did is told by their names without their groups'."""

    dag: DAG
    run_id: str

    @classmethod
    def start(cls, folder: Path, dag_id: str, **params: Any) -> Run:
        """Run the DAG once, to its end."""
        dag = DagBag(folder).dags[dag_id]
        return cls(dag, dag.test(run_conf=params).run_id)

    def states(self) -> dict[str, str]:
        with create_session() as session:
            tasks = self._row(session).get_task_instances(session=session)
            return {task.task_id.split(".")[-1]: str(task.state) for task in tasks}

    def not_green(self) -> dict[str, str]:
        return {task: state for task, state in self.states().items() if state != "success"}

    def clear(self, task: str) -> None:
        """Clear the task with *downstream* ticked, as the UI's call of the API does, and go on to the end."""
        scheduler_dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(self.dag))
        [task_id] = [task_id for task_id in self.dag.task_ids if task_id.split(".")[-1] == task]
        below = [other.task_id for other in self.dag.get_task(task_id).get_flat_relatives(upstream=False)]
        with create_session() as session:
            row = self._row(session)
            chosen = [ti for ti in row.get_task_instances(session=session) if ti.task_id in {task_id, *below}]
            clear_task_instances(chosen, session, DagRunState.QUEUED)
            row.state = DagRunState.RUNNING
            session.commit()
            # The loop of DAG.test(), which always starts a run anew.
            for _ in range(100):
                row = self._row(session)
                row.dag = scheduler_dag
                ready, _ = row.update_state(session=session)
                if row.state != DagRunState.RUNNING:
                    return
                for instance in ready:
                    instance.try_number += 1
                    instance.state = TaskInstanceState.SCHEDULED
                session.commit()
                for instance in ready:
                    _run_task(ti=instance, task=self.dag.task_dict[instance.task_id], run_triggerer=True)
                session.expire_all()
        raise AssertionError(f"{self.run_id} does not end: {self.states()}")

    def _row(self, session: Any) -> DagRun:
        return session.scalars(
            select(DagRun).where(DagRun.dag_id == self.dag.dag_id, DagRun.run_id == self.run_id)
        ).one()
