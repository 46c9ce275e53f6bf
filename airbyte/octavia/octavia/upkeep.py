"""Commands for a connection as it stands on the server, declared or not: what runbooks ask for."""

from __future__ import annotations

import time

import click

from octavia import plan as planning
from octavia.api import Airbyte
from octavia.confirmation import confirm
from octavia.errors import OctaviaError
from octavia.settings import Settings

_POLL_SECONDS = 1.0


@click.command()
@click.argument("connection")
@click.pass_obj
def discover(config: Settings, connection: str) -> None:
    """Have the schema of the source of CONNECTION (name or id) discovered anew, and show it.

    The connection's next sync does with what changed as its settings say.
    """
    airbyte = Airbyte(config)
    found = planning.find("connection", airbyte.list("connection"), connection)
    streams = airbyte.streams(str(found["sourceId"]), str(found["destinationId"]))
    for stream in sorted(streams, key=lambda stream: str(stream["streamName"])):
        columns = {str(path[0]) for path in stream["propertyFields"]}
        click.echo(f"{stream['streamName']}: {', '.join(sorted(columns))}")


@click.command()
@click.argument("connection")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def clear(config: Settings, connection: str, yes: bool) -> None:
    """Empty what CONNECTION (name or id) wrote and forget its state, so that its next sync reads everything."""
    airbyte = Airbyte(config)
    found = planning.find("connection", airbyte.list("connection"), connection)
    click.echo(f"The tables of connection {found['name']} will be empty until its next sync has ended.")
    confirm("Clear?", yes)
    job_id = airbyte.clear(str(found["connectionId"]))
    while (status := airbyte.job_status(job_id)) in ("pending", "queued", "running", "incomplete"):
        time.sleep(_POLL_SECONDS)
    if status != "succeeded":
        raise OctaviaError(f"job {job_id}, which was to clear connection {found['name']}, {status}: see its log")
    click.echo(f"cleared connection {found['name']} (job {job_id})")
