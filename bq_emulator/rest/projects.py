"""projects: the one this emulator serves."""

from __future__ import annotations

from typing import Any

from bq_emulator.rest.call import Call


def list_projects(call: Call) -> dict[str, Any]:
    project = call.emulator.project
    entry = {
        "kind": "bigquery#project",
        "id": project,
        "numericId": "0",
        "projectReference": {"projectId": project},
        "friendlyName": project,
    }
    return {"kind": "bigquery#projectList", "projects": [entry], "totalItems": 1}


def get_service_account(call: Call) -> dict[str, Any]:
    return {"kind": "bigquery#getServiceAccountResponse", "email": "emulator@localhost"}


ROUTES = (
    ("GET", "/projects", list_projects),
    ("GET", "/projects/{project}/serviceAccount", get_service_account),
)
