"""One set of files for several environments: configuration.ENVIRONMENT.yaml laid over configuration.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from octavia import connection, project
from octavia.errors import InvalidFiles, OctaviaError

VARIABLES = {"SHOP_PASSWORD": "hunter2", "PROD_PASSWORD": "prod-secret"}


def overlay(file: Path, text: str, environment: str = "prod") -> None:
    file.with_name(f"configuration.{environment}.yaml").write_text(text)


def test_mappings_merge_null_takes_out_and_other_lists_are_replaced(project_folder: Any) -> None:
    overlay(
        project_folder.source,
        """
configuration:
  schemas: [public, archive]
  password: "${PROD_PASSWORD}"
  ssl_mode: {mode: require}
  tunnel_method: null
""",
    )
    loaded = project.load(project_folder.folder, VARIABLES, environment="prod")
    configuration = loaded.actors[0].configuration
    assert configuration["schemas"] == ["public", "archive"]
    assert configuration["ssl_mode"] == {"mode": "require"}
    assert configuration["password"] == "prod-secret"
    assert "tunnel_method" not in configuration and configuration["database"] == "shop"
    assert {"hunter2", "prod-secret"} <= loaded.secret_values
    assert loaded.actors[0].document.written["configuration", "password"] == "${PROD_PASSWORD}"
    assert project.load(project_folder.folder, VARIABLES).actors[0].configuration["schemas"] == ["public"]


def test_streams_merge_by_name_and_namespace(project_folder: Any) -> None:
    overlay(
        project_folder.connection,
        """
configuration:
  sync_catalog:
    streams:
      - stream: {name: reviews}
        config: {sync_mode: full_refresh, destination_sync_mode: append}
      - stream: {name: users, namespace: public}
        config: {sync_mode: full_refresh, destination_sync_mode: overwrite}
""",
    )
    (declared,) = project.load(project_folder.folder, VARIABLES, environment="prod").connections
    streams = connection.desired(declared.document)["configurations"]["streams"]
    assert [(stream["name"], stream["syncMode"]) for stream in streams] == [
        ("users", "full_refresh_overwrite"),
        ("products", "full_refresh_overwrite"),
        ("reviews", "full_refresh_append"),
    ]


def test_a_fault_names_the_file_and_line_it_comes_from(project_folder: Any) -> None:
    overlay(project_folder.connection, "configuration:\n\n  status: asleep\n")
    project_folder.edit(project_folder.connection, "schedule_type: manual", "schedule_type: sometimes")
    with pytest.raises(InvalidFiles) as caught:
        project.load(project_folder.folder, VARIABLES, environment="prod")
    faults = {(fault.file.name, fault.line, fault.key) for fault in caught.value.problems}
    base_line = project_folder.connection.read_text().splitlines().index("  schedule_type: sometimes") + 1
    assert faults == {
        ("configuration.prod.yaml", 3, "configuration.status"),
        ("configuration.yaml", base_line, "configuration.schedule_type"),
    }


def test_an_environment_without_a_file_is_a_typing_mistake(project_folder: Any) -> None:
    overlay(project_folder.source, "configuration: {}\n")
    with pytest.raises(OctaviaError, match=r"no configuration\.prd\.yaml in .*; there are: prod"):
        project.load(project_folder.folder, VARIABLES, environment="prd")


@pytest.fixture
def project_folder(project: Any) -> Any:
    return project
