"""The methods of BigQuery's API, by name, and which of them this emulator serves.

From https://cloud.google.com/bigquery/docs/reference/rest; a request for one that is not served is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_DATASETS = "/projects/{project}/datasets"
_DATASET = _DATASETS + "/{dataset}"
_JOBS = "/projects/{project}/jobs"
_TABLE = _DATASET + "/tables/{table}"
_ROUTINE = _DATASET + "/routines/{routine}"
_MODEL = _DATASET + "/models/{model}"
_POLICIES = _TABLE + "/rowAccessPolicies"

#: Method → (verb, path).
METHODS: dict[str, tuple[str, str]] = {
    "datasets.delete": ("DELETE", _DATASET),
    "datasets.get": ("GET", _DATASET),
    "datasets.insert": ("POST", _DATASETS),
    "datasets.list": ("GET", _DATASETS),
    "datasets.patch": ("PATCH", _DATASET),
    "datasets.undelete": ("POST", _DATASET + ":undelete"),
    "datasets.update": ("PUT", _DATASET),
    "jobs.cancel": ("POST", _JOBS + "/{job}/cancel"),
    "jobs.delete": ("DELETE", _JOBS + "/{job}/delete"),
    "jobs.get": ("GET", _JOBS + "/{job}"),
    "jobs.getQueryResults": ("GET", "/projects/{project}/queries/{job}"),
    "jobs.insert": ("POST", _JOBS),
    "jobs.list": ("GET", _JOBS),
    "jobs.query": ("POST", "/projects/{project}/queries"),
    "models.delete": ("DELETE", _MODEL),
    "models.get": ("GET", _MODEL),
    "models.list": ("GET", _DATASET + "/models"),
    "models.patch": ("PATCH", _MODEL),
    "projects.getServiceAccount": ("GET", "/projects/{project}/serviceAccount"),
    "projects.list": ("GET", "/projects"),
    "routines.delete": ("DELETE", _ROUTINE),
    "routines.get": ("GET", _ROUTINE),
    "routines.getIamPolicy": ("POST", _ROUTINE + ":getIamPolicy"),
    "routines.insert": ("POST", _DATASET + "/routines"),
    "routines.list": ("GET", _DATASET + "/routines"),
    "routines.setIamPolicy": ("POST", _ROUTINE + ":setIamPolicy"),
    "routines.testIamPermissions": ("POST", _ROUTINE + ":testIamPermissions"),
    "routines.update": ("PUT", _ROUTINE),
    "rowAccessPolicies.batchDelete": ("POST", _POLICIES + ":batchDelete"),
    "rowAccessPolicies.delete": ("DELETE", _POLICIES + "/{policy}"),
    "rowAccessPolicies.get": ("GET", _POLICIES + "/{policy}"),
    "rowAccessPolicies.getIamPolicy": ("POST", _POLICIES + "/{policy}:getIamPolicy"),
    "rowAccessPolicies.insert": ("POST", _POLICIES),
    "rowAccessPolicies.list": ("GET", _POLICIES),
    "rowAccessPolicies.testIamPermissions": ("POST", _POLICIES + "/{policy}:testIamPermissions"),
    "rowAccessPolicies.update": ("PUT", _POLICIES + "/{policy}"),
    "tabledata.insertAll": ("POST", _TABLE + "/insertAll"),
    "tabledata.list": ("GET", _TABLE + "/data"),
    "tables.delete": ("DELETE", _TABLE),
    "tables.get": ("GET", _TABLE),
    "tables.getIamPolicy": ("POST", _TABLE + ":getIamPolicy"),
    "tables.insert": ("POST", _DATASET + "/tables"),
    "tables.list": ("GET", _DATASET + "/tables"),
    "tables.patch": ("PATCH", _TABLE),
    "tables.setIamPolicy": ("POST", _TABLE + ":setIamPolicy"),
    "tables.testIamPermissions": ("POST", _TABLE + ":testIamPermissions"),
    "tables.update": ("PUT", _TABLE),
}


def served(routes: Iterable[tuple[str, str]]) -> list[str]:
    """The methods among ``routes``, each (verb, path).

    Raises:
        ValueError: for a route that is no method of the API.
    """
    wanted = set(routes)
    if unknown := wanted - set(METHODS.values()):
        raise ValueError(f"no methods of BigQuery's API: {unknown}")
    return [name for name, route in METHODS.items() if route in wanted]


def name_of(verb: str, path: str) -> str | None:
    """The method that a request is for."""
    for name, (method, template) in METHODS.items():
        pattern = re.sub(r"\\{\w+\\}", "[^/:]+", re.escape(template))
        if verb == method and re.fullmatch(pattern, path):
            return name
    return None
