"""The few calls of Airflow's REST API that triggering and watching a DAG run take."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from local_stack.services import StackError
from local_stack.settings import ROOT


@dataclass(frozen=True)
class Task:
    """A task instance; ``state`` is None before it is scheduled."""

    task_id: str
    state: str | None
    try_number: int
    map_index: int


class AirflowApi:
    """A signed-in client. Dead connections are retried by the caller's polling; refused calls raise StackError."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30, transport=httpx.HTTPTransport(retries=2))
        answer = self._client.post("/auth/token", json={"username": username, "password": password})
        if answer.is_error:
            raise StackError(
                f"Airflow at {url} refused the user {username!r} ({answer.status_code}). "
                "Is AIRFLOW__API__PORT another Airflow's?"
            )
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._client.request(method, f"/api/v2{path}", **arguments)
        if answer.is_error:
            raise StackError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def find_dag(self, dag_id: str) -> dict[str, Any] | None:
        """The DAG as Airflow parsed it, or None while it has not."""
        answer = self._client.get(f"/api/v2/dags/{dag_id}")
        return answer.json() if answer.status_code == 200 and not answer.json().get("is_stale") else None

    def import_errors(self) -> list[str]:
        found = self._call("GET", "/importErrors")["import_errors"]
        return [f"{error['filename']}:\n{error['stack_trace']}" for error in found]

    def connection_ids(self) -> set[str]:
        """The connections kept in Airflow's database; those of the environment or a secrets backend are not listed."""
        return {
            found["connection_id"] for found in self._call("GET", "/connections", params={"limit": 100})["connections"]
        }

    def reparse(self, dag: dict[str, Any], seconds: float) -> None:
        """Have the DAG's file parsed again, as after a change of the dbt project, and wait for it."""
        before = dag["last_parsed_time"]
        self._call("PUT", f"/parseDagFile/{dag['file_token']}")
        deadline = time.monotonic() + seconds
        while (current := self.find_dag(dag["dag_id"])) is None or current["last_parsed_time"] == before:
            if time.monotonic() > deadline:
                raise StackError(f"Airflow did not parse {dag['fileloc']} again within {seconds:.0f} s.")
            time.sleep(0.3)

    def missing_pools(self) -> dict[str, dict[str, Any]]:
        """The pools of airflow/config/pools.json that Airflow does not have; a task of one of them never starts."""
        wanted: dict[str, dict[str, Any]] = json.loads((ROOT / "airflow" / "config" / "pools.json").read_text())
        there = {pool["name"] for pool in self._call("GET", "/pools", params={"limit": 100})["pools"]}
        return {name: pool for name, pool in wanted.items() if name not in there}

    def add_missing_pools(self) -> None:
        """A pool that is there keeps the size that somebody gave it."""
        for name, pool in self.missing_pools().items():
            self._call("POST", "/pools", json={"name": name, **pool})

    def unpause(self, dag_id: str) -> None:
        self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, **params: Any) -> str:
        """Start a run with these parameters of the DAG; its id."""
        run = self._call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": params})
        return str(run["dag_run_id"])

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Have the task and all that is downstream of it done again in the run they belong to."""
        chosen = {"dag_run_id": run_id, "task_ids": [task_id], "include_downstream": True, "only_failed": False}
        self._call("POST", f"/dags/{dag_id}/clearTaskInstances", json={**chosen, "dry_run": False})

    def active_run(self, dag_id: str) -> str | None:
        """The id of a queued or running run, if there is one."""
        found = self._call("GET", f"/dags/{dag_id}/dagRuns", params={"state": ["queued", "running"], "limit": 1})
        return found["dag_runs"][0]["dag_run_id"] if found["dag_runs"] else None

    def has_run(self, dag_id: str, run_id: str) -> bool:
        return self._client.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").status_code == 200

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self._call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[Task]:
        found: list[Task] = []
        while True:
            page = self._call(
                "GET",
                f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances",
                params={"limit": 100, "offset": len(found)},
            )
            found += [
                Task(task["task_id"], task["state"], task["try_number"], task["map_index"])
                for task in page["task_instances"]
            ]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def spans(self, dag_id: str, run_id: str) -> list[tuple[str, datetime, datetime]]:
        """Each task that ran, with the start and the end of its last try."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found = self._call("GET", path, params={"limit": 1000})["task_instances"]
        return [
            (task["task_id"], datetime.fromisoformat(task["start_date"]), datetime.fromisoformat(task["end_date"]))
            for task in found
            if task["start_date"] and task["end_date"]
        ]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """What the task left under this key; None if nothing."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        answer = self._client.get(path)
        return answer.json()["value"] if answer.status_code == 200 else None

    def task_page(self, dag_id: str, run_id: str, task: Task) -> str:
        """Path of the UI's page with the log of the task's last try."""
        mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
        return f"/dags/{dag_id}/runs/{quote(run_id)}/tasks/{task.task_id}{mapped}?try_number={task.try_number}"

    def log_tail(self, dag_id: str, run_id: str, task: Task, lines: int = 30) -> str:
        """The end of the log of the task's last try."""
        content = self._call(
            "GET",
            f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs/{task.try_number}",
            params={"map_index": task.map_index, "full_content": True},
            headers={"Accept": "application/json"},
        )["content"]
        texts = [_line(entry) for entry in content]
        return "\n".join("\n".join(texts).splitlines()[-lines:])


def _line(entry: Any) -> str:
    """One structured log entry as text, with the errors it carries."""
    if not isinstance(entry, dict):
        return str(entry)
    parts = [str(entry.get("event", ""))]
    for error in entry.get("error_detail") or []:
        parts.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
    return "\n".join(parts)
