"""A checkout of the repository with a stack and a mailbox of its own, in which runbooks can be followed."""

from __future__ import annotations

import email
import email.policy
import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from airbyte_api import api, models
from real_services import BIN, ROOT
from runbook_files import steps
from stack_driver import Stack, new_stack

from local_stack.airflow_api import AirflowApi
from local_stack.pipeline import DAG_ID
from local_stack.processes import wait_until

RUN = "make run"
_RECOVERED = "[recovered]"
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".local", ".env", "target", "logs", "__pycache__", ".*_cache", "*.egg-info"
)


class Mailbox:
    """Keeps the messages that an SMTP server took, as text."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(f"{mail['Subject']}\n{mail.get_content()}")  # type: ignore[attr-defined]
        return "250 OK"

    def take(self, *alerts: str) -> None:
        """Wait until each alert has been told with its runbook, as often as it is named; forget all but recoveries."""
        self._wait("Runbook: runbooks/{}.md", alerts)
        for mail in [mail for mail in self.mails if not mail.startswith(_RECOVERED)]:
            self.mails.remove(mail)

    def take_recoveries(self, *alerts: str) -> None:
        """Wait until each alert has been told to be over, as often as it is named; forget all messages."""
        self._wait(_RECOVERED + " {}", alerts)
        self.mails.clear()

    def _wait(self, sign: str, alerts: tuple[str, ...]) -> None:
        def missing() -> Counter[str]:
            told = {alert: sum(sign.format(alert) in text for text in self.mails) for alert in alerts}
            return Counter(alerts) - Counter(told)

        assert wait_until(lambda: not missing(), 120), f"{missing()} did not come: {self.mails}"


class Checkout:
    """A copy of the repository under version control, with a stack of its own and a mailbox for its alerts."""

    def __init__(self, folder: Path, mail_port: int) -> None:
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=_LEFT_OUT)
        (folder / ".venv").symlink_to(BIN.parent)
        for file in ("requirements.lock", "pyproject.toml"):
            os.utime(folder / file, (0, 0))  # `make` here must not install anew: the environment is the suite's
        folder.chmod(0o755)
        self.stack: Stack = new_stack(
            folder / ".local",
            SOURCE_DB_SCALE="0.05",
            PYTHONPATH=str(folder),
            ALERT_SMTP_HOST="127.0.0.1",
            ALERT_SMTP_PORT=str(mail_port),
            ALERT_SMTP_SECURITY="none",
            ALERT_EMAIL_TO="on-call@example.org",
            ALERT_SLOT_MEGABYTES="1",
        )
        self.git("init", "--quiet")
        self.git("config", "user.name", "deployer")
        self.git("config", "user.email", "deployer@example.org")
        self.commit("Deploy what is good")
        #: Beyond the environment: what runbooks ask for.
        self.variables: dict[str, str] = {}
        self.followed: set[str] = set()
        self.verified: set[str] = set()

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True)

    def commit(self, subject: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)

    def shell(self, commands: str, ok: bool = True, **variables: str) -> str:
        """Run commands as a person would, in the repository's root; their output."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env={**self.stack.environment, **self.variables, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        assert (done.returncode == 0) is ok, f"{commands}\n{done.stdout[-6000:]}"
        return done.stdout

    def mend(self, *runbooks: str) -> None:
        """Run the commands of the runbooks' diagnoses and mitigations but for `make run`."""
        self.followed |= set(runbooks)
        for section in ("Diagnosis", "Mitigation"):
            self._do(runbooks, section)

    def verify(self, *runbooks: str) -> str:
        """One `make run`, if a runbook has it, then the commands of the verifications; what `make run` printed."""
        runs = any(RUN in step.commands.splitlines() for name in runbooks for step in steps(name))
        output = self.shell(RUN) if runs else ""
        self.look(*runbooks, run_output=output)
        return output

    def look(self, *runbooks: str, run_output: str = "") -> None:
        """Run the commands of the verifications but for `make run`."""
        self.verified |= set(runbooks)
        self._do(runbooks, "Verification", run_output)

    def follow(self, *runbooks: str) -> None:
        self.mend(*runbooks)
        self.verify(*runbooks)

    def _do(self, runbooks: tuple[str, ...], section: str, run_output: str = "") -> None:
        """Run what the runbooks have in this section, once where several have the same."""
        outputs: dict[str, str] = {}
        for step in (step for name in runbooks for step in steps(name, section)):
            commands = "\n".join(line for line in step.commands.splitlines() if line != RUN)
            if commands not in outputs:
                outputs[commands] = run_output + (self.shell(commands) if commands else "")
            output = outputs[commands]
            for text in step.expected:
                assert text in output, f"{step.commands} does not print {text!r}:\n{output[-3000:]}"

    def airflow(self) -> AirflowApi:
        return AirflowApi(f"http://127.0.0.1:{self.stack.environment['AIRFLOW__API__PORT']}", "admin", "admin")

    def trigger(self, dag_id: str = DAG_ID, **params: str) -> str:
        """Start a run without `make run`, which mends some faults before it starts; its id."""
        airflow = self.airflow()
        airflow.unpause(dag_id)
        return airflow.trigger(dag_id, **params)

    def wait_for(self, run_id: str, state: str, dag_id: str = DAG_ID) -> None:
        airflow = self.airflow()
        ended = ("failed", "success")
        # What answers has the tasks' own calls to answer, too.
        assert wait_until(lambda: airflow.run_state(dag_id, run_id) in ended, 400, pause=0.5)
        assert airflow.run_state(dag_id, run_id) == state

    def red(self, **params: str) -> None:
        self.wait_for(self.trigger(**params), "failed")

    def clear_raw_gate(self) -> None:
        """As a person does in the UI: the raw gate of the last run that synced, with downstream; it must be red."""
        [(run_id,)] = self.stack.rows(
            "SELECT run_id FROM ops.pipeline_runs WHERE rows_synced > 0 ORDER BY started_at DESC LIMIT 1"
        )
        self.airflow().clear(DAG_ID, run_id, "check_raw")
        self.wait_for(run_id, "failed")

    def grow_slot(self) -> None:
        """Leave a slot behind that nobody reads, and write more than it may keep."""
        self.shell(".venv/bin/local-stack exec source-db cdc")
        self.in_source("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 2200000))")

    def cancel_job(self) -> None:
        """Cancel the job that runs, once one does."""
        airbyte = self.stack.airbyte
        assert wait_until(lambda: airbyte.running_job() is not None, 300)
        job_id = airbyte.running_job()
        assert job_id is not None, "it has ended by itself"
        self.stack.airbyte_sdk.jobs.cancel_job(request=api.CancelJobRequest(job_id=job_id))

    def change_the_connection_by_hand(self) -> None:
        connections = self.stack.airbyte_sdk.connections
        [connection] = connections.list_connections(request=api.ListConnectionsRequest()).connections_response.data
        change = models.ConnectionPatchRequest(
            non_breaking_schema_updates_behavior=models.NonBreakingSchemaUpdatesBehaviorEnum.IGNORE
        )
        connections.patch_connection(
            request=api.PatchConnectionRequest(connection_id=connection.connection_id, connection_patch_request=change)
        )

    @contextmanager
    def lock_on(self, table: str) -> Iterator[psycopg.Connection]:
        """A session that keeps everybody from the table; it may be terminated."""
        with psycopg.connect(self.stack.environment["SOURCE_DB_DSN"]) as session:
            session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            try:
                yield session
            finally:
                session.close()

    def wait_for_blocked(self) -> None:
        """Wait until a session of the source waits for another's lock."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"

        def blocked() -> bool:
            with self.stack.source() as source:
                return source.execute(query).fetchone() != (0,)

        assert wait_until(blocked, 300), "no session waits for the lock"

    def in_source(self, statement: str) -> None:
        with self.stack.source() as source:
            source.execute(statement)

    def add_orders(self, first: int, last: int, a_day: int) -> None:
        """Copies of one order with its items on each of the days that are ``first`` to ``last`` before the latest."""
        self.in_source(
            f"""
            WITH one AS (SELECT * FROM orders WHERE status = 'pending' ORDER BY created_at DESC LIMIT 1),
            day AS (SELECT max((created_at AT TIME ZONE 'UTC')::date) AS last, max(updated_at) AS now FROM orders),
            added AS (
                INSERT INTO orders
                SELECT copy.* FROM one, day, generate_series({last}, {first}) AS back, generate_series(1, {a_day}) AS n,
                    jsonb_populate_record(NULL::orders, to_jsonb(one) || jsonb_build_object(
                        'id', gen_random_uuid(), 'order_number', format('ADD-%s-%s', back, n), 'updated_at', day.now,
                        'created_at', (day.last - back)::timestamp AT TIME ZONE 'UTC' + interval '12 hours'
                    )) AS copy
                RETURNING id, created_at
            )
            INSERT INTO order_items
            SELECT copy.* FROM one, added JOIN order_items AS item ON true, jsonb_populate_record(
                NULL::order_items, to_jsonb(item) || jsonb_build_object(
                    'id', gen_random_uuid(), 'order_id', added.id, 'created_at', added.created_at
                )) AS copy
            WHERE item.order_id = one.id
            """
        )

    def as_superuser(self, statement: str) -> None:
        secrets = json.loads((self.stack.home / "secrets.json").read_text())
        where = psycopg.conninfo.conninfo_to_dict(self.stack.environment["SOURCE_DB_DSN"])
        who = {"user": "postgres", "password": secrets["postgres_superuser_password"], "dbname": "postgres"}
        with psycopg.connect(**{**where, **who}, autocommit=True) as session:
            session.execute(statement)

    def in_warehouse(self, statement: str) -> None:
        self.stack.rows(statement)

    def pids(self) -> dict[str, int]:
        """The process of each service."""
        return {file.stem: json.loads(file.read_text())["pid"] for file in (self.stack.home / "run").glob("*.json")}

    def kill(self, *services: str) -> None:
        """Kill services with their children, at once and for good."""
        for service in services:
            os.killpg(self.pids()[service], signal.SIGKILL)

    def marts(self) -> dict[str, list[str]]:
        """The rows of every mart, in a form that can be compared."""
        tables = self.stack.rows("SELECT table_name FROM marts.INFORMATION_SCHEMA.TABLES ORDER BY 1")
        return {name: sorted(map(repr, self.stack.rows(f"SELECT * FROM marts.{name}"))) for (name,) in tables}
