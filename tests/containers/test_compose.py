"""docker-compose.yml and the Dockerfile are valid, careful, and the twin of the local stack."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_file import Compose, dockerfile, image_environment
from dotenv import dotenv_values
from own_environment import PLATFORM
from real_services import BIN, ROOT

from local_stack import containers, services, settings

VARIABLES = dict(containers.missing_variables({}, {}))

# Services of the compose file that the local stack does within `local-stack up`, or by another command.
ONE_SHOTS = {"databases", "demo-data", "connections", "airflow-init", "airbyte-preflight", "dbt"}

# Variables that one of the two stacks alone has, and why.
ONLY_LOCAL = {
    "PATH": "of the virtual environment; the image has its own",
    "OCTAVIA_ENV_FILE": "the image has no .env",
}
ONLY_CONTAINERS = {
    "PYTHONUNBUFFERED": "logs go to the engine",
    "HOME": "the image's user has none",
    "XDG_CACHE_HOME": "on a laptop the user's own cache keeps the compiled analyzer",
    "DBT_TARGET_PATH": "the image is read-only to its user",
    "DBT_LOG_PATH": "the image is read-only to its user",
    "POSTGRES_PASSWORD": "the official image's name for what the local stack passes to initdb",
    "POSTGRES_INITDB_ARGS": "the official image's name for what the local stack passes to initdb",
    "POSTGRES_SUPERUSER_DSN": "the local stack knows the server it has started",
    "AIRFLOW_DATABASE_PASSWORD": "generated in the local stack's folder",
    "AIRBYTE_DATABASE_PASSWORD": "generated in the local stack's folder",
    "AIRFLOW_ADMIN_PASSWORD": "admin on a laptop",
    "LOCAL_STACK_DIR": "the image is read-only to its user",
}


# Variables of .env.example that the containers do not take from .env, and why.
NOT_IN_CONTAINERS = {
    "SOURCE_DB_DSN": "follows SOURCE_DB_PASSWORD",
    "METADATA_POSTGRES_PORT": "the ports are the containers' own",
    "AIRFLOW__API__PORT": "the ports are the containers' own",
    "GOOGLE_APPLICATION_CREDENTIALS": "a file of one machine: docs/production.md mounts it",
    "DBT_PACKAGES_INSTALL_PATH": "a folder of the image",
    "AIRBYTE_CONNECTORS_FILE": "a file of one machine",
    "AIRBYTE_MANIFESTS_DIR": "a folder of the image",
    "AIRBYTE_DECLARED_DIR": "a folder of the image",
    "RUN_REPORT_DIR": "a folder of the volume",
    "LOCAL_STACK_DIR": "the containers have volumes",
}


@pytest.fixture(scope="module")
def compose() -> Compose:
    return Compose(VARIABLES)


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    """The local stack's settings when nobody has set anything."""
    for name in list(settings.os.environ):
        if name.startswith(PLATFORM):
            monkeypatch.delenv(name)
    monkeypatch.setattr(settings, "written", dict)
    return settings.load(tmp_path)


def test_compose_file_and_dockerfile_pass_their_linters(tmp_path: Path) -> None:
    schema = [BIN / "check-jsonschema", "--builtin-schema=vendor.compose-spec"]
    good = subprocess.run([*schema, ROOT / "docker-compose.yml"], capture_output=True, text=True)
    assert good.returncode == 0, good.stdout
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    document["services"]["bigquery"]["healthcheck"]["intervall"] = "1s"
    (tmp_path / "broken.yml").write_text(yaml.safe_dump(document))
    assert subprocess.run([*schema, tmp_path / "broken.yml"], capture_output=True).returncode == 1
    linted = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout


def test_each_profile_is_whole(compose: Compose) -> None:
    everything, external = compose.active("default"), compose.active("external-airbyte")
    assert set(everything) - set(external) == {"airbyte"}
    assert set(external) - set(everything) == {"airbyte-preflight"}
    real = Compose(VARIABLES | {"AIRBYTE_API_URL": "https://airbyte.example.com/api/public/v1"})
    for name in real.active("external-airbyte"):
        assert real.environment(name).get("AIRBYTE_API_URL") in (None, "https://airbyte.example.com/api/public/v1")


def test_both_stacks_have_the_same_services_commands_and_ports(compose: Compose, local: settings.Settings) -> None:
    known = {service.name: service for service in services.embedded_services(local)}
    assert set(compose.services) - ONE_SHOTS == {*known, "postgres"}
    for name, service in known.items():
        program, *arguments = compose.command(name)
        local_program, *local_arguments = service.command
        assert program == Path(local_program).name
        assert [a.partition("=")[0] for a in arguments] == [a.partition("=")[0] for a in local_arguments], name
        # Addresses and folders differ, what is served does not.
        differing = {a.partition("=")[0] for a, b in zip(arguments, local_arguments, strict=True) if a != b}
        assert differing <= {"--host", "--data-dir"}, name
    published = {
        name: {int(port.split(":")[-1]) for port in service["ports"]}
        for name, service in compose.services.items()
        if "ports" in service
    }
    assert published == {
        "postgres": {local.postgres_port},
        "bigquery": {local.bigquery.port},
        "airbyte": {local.airbyte.port},
        "airflow-api-server": {local.airflow_port},
    }


def test_both_stacks_set_the_same_variables(compose: Compose, local: settings.Settings) -> None:
    ours = set(local.child_environment()) - set(settings.os.environ)
    ours |= set().union(*(set(service.environment) for service in services.embedded_services(local)))
    ours -= set(settings.os.environ) - {"PATH"}
    theirs = set(image_environment("")) | set().union(*(compose.environment(name) for name in compose.services))
    assert ours - theirs - set(ONLY_LOCAL) == set()
    assert theirs - ours - set(ONLY_CONTAINERS) == set()
    # An exception that has gone is deleted here, too.
    assert not set(ONLY_CONTAINERS) - theirs
    values = local.child_environment()
    for name in set(values) & set(compose.environment("airflow-scheduler")):
        if not re.search("HOST|URL|ENDPOINT|PASSWORD|SECRET|KEY|CONN|FILE", name):
            assert compose.environment("airflow-scheduler")[name] == values[name], name


def test_every_variable_that_a_person_may_set_reaches_the_containers() -> None:
    names = re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    told = Compose(VARIABLES | {name: f"<{name}>" for name in names})
    texts = [str(told.command(name)) + str(told.environment(name)) for name in told.services]
    assert {name for name in names if not any(f"<{name}>" in text for text in texts)} == set(NOT_IN_CONTAINERS)


def test_postgres_runs_with_the_local_servers_settings(compose: Compose, local: settings.Settings) -> None:
    given = dict(word.split("=", 1) for word in compose.command("postgres") if "=" in word)
    there = services.postgres(local).options
    assert given == {name: there[name] for name in given}
    assert set(there) - set(given) == {"listen_addresses", "port", "unix_socket_directories"}


def test_every_service_is_bounded_checked_and_unprivileged(compose: Compose) -> None:
    for name, service in compose.services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits.keys() == {"cpus", "memory"}, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        if service["restart"] != "no":
            assert service["healthcheck"]["test"][0] == "CMD", name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port} to the whole network"
        if name != "postgres":
            assert service["cap_drop"] == ["ALL"] and "user" not in service, name
    memory = sum(megabytes(compose.services[name]["deploy"]["resources"]["limits"]["memory"])
                 for name in compose.active("default") if compose.services[name]["restart"] != "no")  # fmt: skip
    assert memory <= 14 * 1024, "more than a laptop of 16 GB has"
    assert [step.text for step in dockerfile() if step.stage == 1 and step.name == "USER"] == ["10001:10001"]


def test_no_secret_is_in_the_files_and_all_come_from_one_command(compose: Compose) -> None:
    assert compose.required == set(VARIABLES) - {"COMPOSE_PROFILES", "AIRBYTE_CLIENT_ID"}
    for name in compose.required:
        with pytest.raises(KeyError, match=name):
            Compose({key: value for key, value in VARIABLES.items() if key != name})
    texts = (ROOT / "docker-compose.yml").read_text() + (ROOT / "Dockerfile").read_text()
    passwords: list[Any] = re.findall(r"(?:PASSWORD|SECRET|_KEY|TOKEN): (?!\$\{)(.+)", texts)
    assert passwords == []
    assert {".*", "tests"} <= set((ROOT / ".dockerignore").read_text().split()), ".env would be in the image"


def test_variables_that_are_there_are_not_made_again() -> None:
    written = {"SOURCE_POSTGRES_PASSWORD": "kept"}
    added = dict(containers.missing_variables(written, {"AIRFLOW_ADMIN_PASSWORD": "kept"}))
    assert added.keys() == VARIABLES.keys() - {"SOURCE_POSTGRES_PASSWORD", "AIRFLOW_ADMIN_PASSWORD"}
    assert dict(containers.missing_variables(written | added, {"AIRFLOW_ADMIN_PASSWORD": "kept"})) == {}


def test_the_committed_airflow_settings_are_those_of_the_containers(compose: Compose) -> None:
    committed = dotenv_values(ROOT / "airflow" / "config" / "airflow.cfg.env", interpolate=False)
    inside = compose.environment("airflow-scheduler")
    assert {name for name in committed if inside[name] != committed[name]} == {"AIRFLOW__API__HOST"}


def megabytes(size: str) -> int:
    return int(size[:-1]) * {"g": 1024, "m": 1}[size[-1]]
