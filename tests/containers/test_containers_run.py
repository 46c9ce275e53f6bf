"""What the image runs, run without Docker: installed as the Dockerfile says, started as docker-compose.yml says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from compose_file import Compose
from engine import Engine, install
from pod import Pod
from real_services import ROOT

from local_stack import containers

pytestmark = [pytest.mark.containers, pytest.mark.timeout(1500)]


def test_the_image_runs_the_pipeline_as_the_compose_file_says(service_dir: Path) -> None:
    folder = service_dir / "pod"
    variables = dict(containers.missing_variables({}, {})) | {"SOURCE_DB_SCALE": "0.02"}
    compose = Compose(variables)
    install(folder)
    with Pod(folder, compose.services) as pod:
        engine = Engine(pod, compose)
        engine.up("default")
        environment = engine.environment("demo-data") | engine.environment("airflow-init") | {"PATIENCE": "600"}
        script = (ROOT / "tests/support/trigger_pipeline.py").read_text()
        done = pod.run(["python", "-"], environment, input=script)
        assert done.returncode == 0, done.stdout
        result = json.loads(done.stdout.splitlines()[-1])
        assert result["state"] == "success", result
        assert result["fct_orders"] == result["orders"] > 0
        built = engine.run("dbt", "build", "--select", "dim_dates")
        assert built.returncode == 0 and "Completed successfully" in built.stdout, built.stdout
        for log in folder.glob("*.log"):
            for name in compose.required:
                assert variables[name] not in log.read_text(), f"{name} is in the log of {log.stem}"
    shutil.rmtree(folder)
