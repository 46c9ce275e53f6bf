"""Is the Airbyte connection that runs the one that is declared in ``airbyte/``?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from marketplace_pipeline.airbyte import AirbyteError, AirbyteJobs

_NO_DRIFT, _DRIFT = 0, 2


def octavia_dir() -> Path:
    """``OCTAVIA_DIRECTORY``, by default ``airbyte/`` beside ``airflow/``."""
    return Path(os.environ.get("OCTAVIA_DIRECTORY") or Path(__file__).resolve().parents[3] / "airbyte")


def check_declared(connection_name: str) -> str:
    """Compare the applied connection, its source and its destination with their files; octavia's summary if they agree.

    What else the workspace holds is nobody's business here. Secrets cannot be compared: Airbyte does not show them.

    Raises:
        AirbyteUnavailable: no answer; worth a retry.
        AirbyteError: no such connection, or it differs; the message has octavia's list of differences.
    """
    AirbyteJobs().find_connection(connection_name)  # tells an Airbyte that is away from one that refuses
    folder = octavia_dir()
    declared = [folder / "connections" / connection_name, *folder.glob("sources/*"), *folder.glob("destinations/*")]
    files = [str(path / "configuration.yaml") for path in declared if path.is_dir()]
    command = [str(Path(sys.executable).parent / "octavia"), "--directory", str(folder), "drift"]
    for file in files:
        command += ["--file", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == _NO_DRIFT:
        return done.stdout.strip()
    if done.returncode == _DRIFT:
        raise AirbyteError(
            f"Connection {connection_name} is not as declared in {folder}. Put the declaration back with "
            f"`make octavia ARGS=apply`, or take the change over into the files.\n{done.stdout.strip()}"
        )
    raise AirbyteError(f"octavia could not compare {connection_name}: {done.stderr.strip() or done.stdout.strip()}")
