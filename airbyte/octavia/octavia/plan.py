"""From what is declared and what the server has to the steps that make them equal, and taking them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from octavia import connection, diff
from octavia.api import Airbyte, ApiError, Json
from octavia.diff import Change
from octavia.errors import OctaviaError
from octavia.project import KINDS, Actor, Connection, Kind, Project

Action = Literal["create", "update", "keep"]


@dataclass(frozen=True)
class Step:
    """What becomes of one declared resource; a ``keep`` with ``secrets`` is sent too, as they cannot be compared."""

    resource: Actor | Connection
    action: Action
    remote_id: str | None
    changes: list[Change] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ends: Mapping[Kind, str | None] = field(default_factory=dict)
    """For a connection: the ids of its source and destination; None for one that is yet to be created."""

    @property
    def kind(self) -> Kind:
        return self.resource.kind

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def file(self) -> Path:
        return self.resource.document.file


@dataclass(frozen=True)
class Plan:
    steps: list[Step]
    undeclared: list[tuple[Kind, str]] = field(default_factory=list)
    """What is in the workspace, kind and name, without being declared."""

    @property
    def has_changes(self) -> bool:
        return any(step.action != "keep" for step in self.steps)


def make(project: Project, airbyte: Airbyte) -> Plan:
    """Compare every declared resource with the workspace's, found by its name.

    Raises:
        OctaviaError: a change that the public API cannot make, or a name that several resources have.
        ApiError: the server's refusal.
    """
    remote = {kind: airbyte.list(kind) for kind in KINDS}
    steps = [_actor_step(actor, airbyte, remote) for actor in project.actors]
    created = {(step.kind, step.name) for step in steps if step.action == "create"}
    steps += [_connection_step(declared, airbyte, remote, created) for declared in project.connections]
    declared = {(step.kind, step.name) for step in steps} | {
        (end.kind, end.name) for found in project.connections for end in (found.source, found.destination)
    }
    names = [(kind, str(entry["name"])) for kind in KINDS for entry in remote[kind]]
    return Plan(steps, sorted(set(names) - declared))


def take(plan: Plan, airbyte: Airbyte) -> Iterator[Step]:
    """Take the steps in order, giving each once it is done; what is equal and has no secrets is not sent.

    Raises:
        OctaviaError: the server refused a step, which it then leaves as it was. The steps given before stay done.
    """
    ids: dict[tuple[Kind, str], str] = {}
    for step in plan.steps:
        try:
            if isinstance(step.resource, Actor):
                ids[step.kind, step.name] = _send_actor(step, step.resource, airbyte)
            else:
                _send_connection(step, step.resource, airbyte, ids)
        except ApiError as error:
            # The server discovers a connection's source, so what it says may be about that file.
            source = step.resource.source.document.file if isinstance(step.resource, Connection) else None
            where = f"{step.file} (source: {source})" if source else f"{step.file}"
            raise OctaviaError(f"{where}: {error.message}") from error
        yield step


def by_name(kind: Kind, entries: Sequence[Json], name: str) -> Json | None:
    """The entry with this name, or None.

    Raises:
        OctaviaError: several have it, so that the name does not say which is meant.
    """
    found = [entry for entry in entries if entry["name"] == name]
    if len(found) > 1:
        ids = ", ".join(str(entry[f"{kind}Id"]) for entry in found)
        raise OctaviaError(f"{len(found)} {kind}s are named {name!r} ({ids}): rename or delete all but one in Airbyte")
    return found[0] if found else None


def find(kind: Kind, entries: Sequence[Json], name_or_id: str) -> Json:
    """The entry with this name or id; raises OctaviaError if there is none, or several have the name."""
    found = next((entry for entry in entries if entry[f"{kind}Id"] == name_or_id), None)
    found = found or by_name(kind, entries, name_or_id)
    if found is None:
        known = ", ".join(sorted(str(entry["name"]) for entry in entries)) or "none"
        raise OctaviaError(f"no {kind} is named or has the id {name_or_id!r}; there are: {known}")
    return found


def _actor_step(actor: Actor, airbyte: Airbyte, remote: Mapping[Kind, Sequence[Json]]) -> Step:
    listed = by_name(actor.kind, remote[actor.kind], actor.name)
    if listed is None:
        return Step(actor, "create", None, diff.new_actor(actor.document))
    remote_id = str(listed[f"{actor.kind}Id"])
    found = airbyte.get(actor.kind, remote_id)
    if str(found.get("definitionId", actor.definition_id)).lower() != actor.definition_id:
        raise OctaviaError(
            str(
                actor.document.problem(
                    ("definition_id",),
                    f"on the server, {actor.kind} {actor.name} is the connector {found['definitionId']}, and the API "
                    "cannot exchange it: use another resource_name, or delete it in Airbyte",
                )
            )
        )
    difference = diff.actor_difference(actor.document, found)
    return Step(actor, "update" if difference.changes else "keep", remote_id, difference.changes, difference.secrets)


def _connection_step(
    declared: Connection,
    airbyte: Airbyte,
    remote: Mapping[Kind, Sequence[Json]],
    created: Collection[tuple[Kind, str]],
) -> Step:
    ends: dict[Kind, str | None] = {}
    for end in (declared.source, declared.destination):
        known = by_name(end.kind, remote[end.kind], end.name)
        ends[end.kind] = str(known[f"{end.kind}Id"]) if known else None
        if known is None and (end.kind, end.name) not in created:
            raise OctaviaError(
                f"{declared.document.file}: its {end.kind} {end.name} is not in the workspace: "
                f"apply {end.document.file} too"
            )
    desired = connection.desired(declared.document)
    found = by_name("connection", remote["connection"], declared.name)
    if found is None:
        twins = [other for other in remote["connection"] if all(other[f"{kind}Id"] == ends[kind] for kind in ends)]
        notes = [
            f"connection {twin['name']} already joins the same source and destination: if this is its new name, "
            "delete the old one in Airbyte, or both will write the same tables"
            for twin in twins
        ]
        return Step(declared, "create", None, diff.connection_difference(desired, None), notes=notes, ends=ends)
    for end in (declared.source, declared.destination):
        if found[f"{end.kind}Id"] != ends[end.kind]:
            raise OctaviaError(
                str(
                    declared.document.problem(
                        (f"{end.kind}_configuration_path",),
                        f"on the server, connection {declared.name} has the {end.kind} {found[f'{end.kind}Id']}, "
                        f"not {end.name}, and the API cannot change that: "
                        "use another resource_name, or delete it in Airbyte",
                    )
                )
            )
    remote_id = str(found["connectionId"])
    changes = diff.connection_difference(desired, airbyte.get("connection", remote_id))
    return Step(declared, "update" if changes else "keep", remote_id, changes)


def _send_actor(step: Step, actor: Actor, airbyte: Airbyte) -> str:
    if step.remote_id is None:
        answer = airbyte.create_actor(actor.kind, actor.name, actor.definition_id, actor.configuration)
        return str(answer[f"{actor.kind}Id"])
    if step.action == "update" or step.secrets:
        airbyte.replace_actor(actor.kind, step.remote_id, actor.name, actor.configuration)
    return step.remote_id


def _send_connection(step: Step, declared: Connection, airbyte: Airbyte, ids: Mapping[tuple[Kind, str], str]) -> None:
    body = connection.desired(declared.document)
    if step.remote_id is None:
        source_id = step.ends["source"] or ids["source", declared.source.name]
        destination_id = step.ends["destination"] or ids["destination", declared.destination.name]
        airbyte.create_connection(source_id, destination_id, body)
    elif step.action == "update":
        airbyte.update_connection(step.remote_id, body)
