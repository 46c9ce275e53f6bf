"""The ``octavia`` command. Exit status: 0 done or nothing to do, 1 an error, 2 ``plan`` found changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from octavia import plan as planning
from octavia import project as projects
from octavia import render, settings
from octavia.api import Airbyte
from octavia.errors import OctaviaError
from octavia.project import KINDS, Kind
from octavia.settings import Settings

CHANGES = 2
"""Exit status of a plan that is not empty."""

_DONE = {"create": "created", "update": "changed"}
_Command = TypeVar("_Command", bound=Callable[..., Any])


def main() -> None:
    """Entry point. Wrong usage exits 1 as every error does: click's own 2 would read as "there are changes"."""
    try:
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
    except click.Abort:
        click.echo("Interrupted; what was reported as done stays done.", err=True)
    sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.option(
    "-C",
    "--directory",
    type=click.Path(path_type=Path),
    help="The folder of sources/, destinations/ and connections/; by default ./airbyte if it has them, else this one.",
)
@click.pass_context
def cli(context: click.Context, directory: Path | None) -> None:
    """Airbyte sources, destinations and connections as code.

    The server and the credentials come from AIRBYTE_API_URL, AIRBYTE_CLIENT_ID, AIRBYTE_CLIENT_SECRET and
    AIRBYTE_WORKSPACE_ID (default: the first workspace), or from .env in the project's or this folder.
    """
    context.obj = settings.load(directory)


def _file_option(command: _Command) -> _Command:
    return click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        type=click.Path(path_type=Path),
        help="Only this configuration.yaml; may be repeated.",
    )(command)


@cli.command()
@_file_option
@click.pass_obj
def plan(config: Settings, files: tuple[Path, ...]) -> int:
    """Show what apply would do; exit status 0 for nothing, 2 for changes."""
    project = projects.load(config.directory, config.variables, files)
    made = planning.make(project, Airbyte(config, project.secret_values))
    _show(made)
    return CHANGES if made.has_changes else 0


@cli.command()
@_file_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def apply(config: Settings, files: tuple[Path, ...], yes: bool) -> None:
    """Make the workspace as the files declare it; what they do not declare is left alone.

    All files are validated before anything is sent. Secret values cannot be read back, so they are sent every time.
    """
    project = projects.load(config.directory, config.variables, files)
    airbyte = Airbyte(config, project.secret_values)
    made = planning.make(project, airbyte)
    _show(made)
    if made.has_changes and not yes and not _confirmed():
        raise OctaviaError("not confirmed, nothing was sent; --yes applies without asking")
    for step in planning.take(made, airbyte):
        if step.action != "keep":
            click.echo(f"{_DONE[step.action]} {step.kind} {step.name}")


@cli.command("list")
@click.argument("kind", required=False, type=click.Choice([f"{kind}s" for kind in KINDS]))
@click.pass_obj
def list_(config: Settings, kind: str | None) -> None:
    """List the workspace's sources, destinations and connections: kind, name, id."""
    airbyte = Airbyte(config)
    rows = [
        (each, str(entry["name"]), str(entry[f"{each}Id"]))
        for each in KINDS
        if kind in (None, f"{each}s")
        for entry in sorted(airbyte.list(each), key=lambda entry: str(entry["name"]))
    ]
    width = max((len(name) for _, name, _ in rows), default=0)
    for each, name, resource_id in rows:
        click.echo(f"{each:<11}  {name:<{width}}  {resource_id}")


@cli.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name_or_id")
@click.pass_obj
def get(config: Settings, kind: Kind, name_or_id: str) -> None:
    """Print one resource as the server has it (JSON, secrets masked)."""
    airbyte = Airbyte(config)
    entries = airbyte.list(kind)
    found = next((entry for entry in entries if entry[f"{kind}Id"] == name_or_id), None)
    found = found or planning.by_name(kind, entries, name_or_id)
    if found is None:
        known = ", ".join(sorted(str(entry["name"]) for entry in entries)) or "none"
        raise OctaviaError(f"no {kind} is named or has the id {name_or_id!r}; there are: {known}")
    click.echo(json.dumps(airbyte.get(kind, str(found[f"{kind}Id"])), indent=2, ensure_ascii=False))


def _confirmed() -> bool:
    try:
        return click.confirm("Apply?")
    except click.Abort:
        return False


def _show(made: planning.Plan) -> None:
    for line in render.plan_lines(made):
        click.echo(line)
