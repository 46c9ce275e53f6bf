"""Deleting what is declared, and only that."""

from __future__ import annotations

from collections.abc import Iterator

from octavia.api import Airbyte
from octavia.errors import OctaviaError
from octavia.plan import by_name
from octavia.project import KINDS, Kind, Project

Resource = tuple[Kind, str, str]
"""Kind, name and id."""

_WHAT_GOES: dict[Kind, str] = {
    "connection": "its cursor state and its history of jobs; the tables it wrote stay",
    "source": "its configuration, with the secrets in it",
    "destination": "its configuration, with the secrets in it",
}


def make(project: Project, airbyte: Airbyte) -> list[Resource]:
    """The declared resources that the workspace has, connections first.

    Raises:
        OctaviaError: an undeclared connection uses a declared source or destination and would go with it.
    """
    remote = {kind: airbyte.list(kind) for kind in KINDS}
    found: list[Resource] = []
    for declared in reversed(project.resources):
        entry = by_name(declared.kind, remote[declared.kind], declared.name)
        if entry is not None:
            found.append((declared.kind, declared.name, str(entry[f"{declared.kind}Id"])))
    going = {resource_id for _, _, resource_id in found}
    for connection in remote["connection"]:
        for kind, name, resource_id in found:
            if connection.get(f"{kind}Id") == resource_id and connection["connectionId"] not in going:
                raise OctaviaError(
                    f"connection {connection['name']}, which is not declared here, uses {kind} {name} and would be "
                    "deleted with it: delete the connection in Airbyte first, or name files with --file"
                )
    return found


def lines(resources: list[Resource]) -> Iterator[str]:
    """What goes, and what goes with it."""
    for kind, name, _ in resources:
        yield f"- {kind} {name}: {_WHAT_GOES[kind]}"
