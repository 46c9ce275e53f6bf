"""The ``octavia`` command. Exit status: 0 done or nothing to do, 1 an error, 2 ``plan`` or ``drift`` found changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from octavia import generating, importing, removal, render, scaffold, settings, upkeep
from octavia import plan as planning
from octavia import project as projects
from octavia import state as states
from octavia.api import Airbyte
from octavia.confirmation import confirm
from octavia.errors import OctaviaError
from octavia.project import KINDS, Kind, Project
from octavia.settings import Settings

CHANGES = 2
"""Exit status when files and server differ."""

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
@click.option("-w", "--workspace", help="Name or id of the workspace; by default AIRBYTE_WORKSPACE_ID, or the first.")
@click.option(
    "-e",
    "--environment",
    help="Lay each configuration.ENVIRONMENT.yaml over the configuration.yaml beside it; default OCTAVIA_ENVIRONMENT.",
)
@click.pass_context
def cli(context: click.Context, directory: Path | None, workspace: str | None, environment: str | None) -> None:
    """Airbyte sources, destinations and connections as code.

    The server and the credentials come from AIRBYTE_API_URL, AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET in the
    environment, or from .env in the project's or this folder, or from the file that OCTAVIA_ENV_FILE names instead.
    """
    context.obj = settings.load(directory, workspace, environment)


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
    project = _load(config, files)
    made = planning.make(project, Airbyte(config, project.secret_values))
    _show(render.plan_lines(made))
    return CHANGES if made.has_changes else 0


@cli.command()
@_file_option
@click.pass_obj
def drift(config: Settings, files: tuple[Path, ...]) -> int:
    """Show what the server has otherwise than declared, or undeclared; exit status 0 for nothing, 2 for drift."""
    project = _load(config, files)
    made = planning.make(project, Airbyte(config, project.secret_values))
    # Who names files wants to know about those alone.
    undeclared = [] if files else made.undeclared
    _show(render.drift_lines(made, undeclared))
    return CHANGES if made.has_changes or undeclared else 0


@cli.command()
@_file_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def apply(config: Settings, files: tuple[Path, ...], yes: bool) -> None:
    """Make the workspace as the files declare it; what they do not declare is left alone.

    All files are validated before anything is sent. Secret values cannot be read back, so they are sent every time.
    """
    project = _load(config, files)
    airbyte = Airbyte(config, project.secret_values)
    made = planning.make(project, airbyte)
    _show(render.plan_lines(made))
    if made.has_changes:
        confirm("Apply?", yes)
    for step in planning.take(made, airbyte):
        if step.action != "keep":
            click.echo(f"{_DONE[step.action]} {step.kind} {step.name}")


@cli.command()
@_file_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def destroy(config: Settings, files: tuple[Path, ...], yes: bool) -> None:
    """Delete from the workspace what the files declare; the tables in the destination stay."""
    project = _load(config, files)
    airbyte = Airbyte(config, project.secret_values)
    resources = removal.make(project, airbyte)
    if not resources:
        click.echo("Nothing to delete: the workspace has none of what is declared.")
        return
    _show(removal.lines(resources))
    confirm("Delete?", yes)
    for kind, name, resource_id in resources:
        airbyte.delete(kind, resource_id)
        click.echo(f"deleted {kind} {name}")


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
    found = planning.find(kind, airbyte.list(kind), name_or_id)
    click.echo(json.dumps(airbyte.get(kind, str(found[f"{kind}Id"])), indent=2, ensure_ascii=False))


@cli.command()
@click.pass_obj
def init(config: Settings) -> None:
    """Make a project folder: sources/, destinations/, connections/, the files' JSON Schemas, .env kept out of Git."""
    made = scaffold.init(config.directory)
    for path in made:
        click.echo(f"made {path}")
    if not made:
        click.echo(f"{config.directory} has all of it already.")


@cli.command("import")
@click.argument("kind", type=click.Choice([*KINDS, "all"]))
@click.argument("name_or_id", required=False)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.pass_obj
def import_(config: Settings, kind: str, name_or_id: str | None, force: bool) -> None:
    """Write what the workspace has into files, with ${VARIABLES} for the secrets, which Airbyte does not give back.

    `all` takes what no file declares yet; a connection brings its source and destination along.
    """
    if (kind == "all") == bool(name_or_id):
        raise OctaviaError("say `import all`, or a kind and the name or id of one resource")
    wanted = next(((each, name_or_id) for each in KINDS if each == kind and name_or_id), None)
    declared = projects.load(config.directory, config.variables) if projects.files(config.directory) else None
    missing: list[str] = []
    for written in importing.run(config.directory, Airbyte(config), declared, wanted, force=force):
        click.echo(f"{written.kind} {written.name}: {written.file}")
        for note in written.notes:
            click.echo(f"    ! {note}")
        missing += [name for name in written.variables if name not in config.variables]
    if missing:
        click.echo(f"Set these to the secrets, in the environment or in .env: {', '.join(missing)}")


@cli.group()
def generate() -> None:
    """Begin a new file."""


def _actor_command(kind: Kind) -> None:
    @generate.command(kind, help=f"Begin a {kind}'s file. CONNECTOR: its name, image or id, as the server has it.")
    @click.argument("connector")
    @click.argument("name")
    @click.option(
        "--spec",
        type=click.File(encoding="utf-8"),
        help="What the connector prints for its command `spec`, which the public API does not show; - for stdin.",
    )
    @click.pass_obj
    def command(config: Settings, connector: str, name: str, spec: TextIO | None) -> None:
        definition = generating.find_definition(kind, Airbyte(config).definitions(kind), connector)
        found = generating.read_spec(spec.read()) if spec else None
        _write_new(config, kind, name, generating.actor(kind, name, definition, found))


_actor_command("source")
_actor_command("destination")


@generate.command("connection")
@click.argument("name")
@click.option("--source", required=True, type=click.Path(path_type=Path), help="The source's file, already applied.")
@click.option("--destination", required=True, type=click.Path(path_type=Path), help="The destination's, applied too.")
@click.pass_obj
def generate_connection(config: Settings, name: str, source: Path, destination: Path) -> None:
    """Begin a connection's file with every stream that the source has."""
    project = _load(config, (source, destination))
    airbyte = Airbyte(config, project.secret_values)
    ends = {actor.kind: actor for actor in project.actors}
    if len(ends) != 2:
        raise OctaviaError("--source and --destination must be the files of a source and of a destination")
    ids = {kind: str(planning.find(kind, airbyte.list(kind), actor.name)[f"{kind}Id"]) for kind, actor in ends.items()}
    paths = {kind: actor.document.file.relative_to(config.directory).as_posix() for kind, actor in ends.items()}
    streams = airbyte.streams(ids["source"], ids["destination"])
    _write_new(config, "connection", name, generating.connection(name, streams, paths))


@cli.group()
def state() -> None:
    """A connection's cursor state, out to a file and back (Config API: not on Airbyte Cloud)."""


@state.command("export")
@click.argument("connection")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def export_state(config: Settings, connection: str, file: Path) -> None:
    """Write the state of CONNECTION (name or id) into FILE."""
    airbyte = Airbyte(config)
    found = planning.find("connection", airbyte.list("connection"), connection)
    text = airbyte.state(str(found["connectionId"]))
    file.write_bytes(text + b"\n")
    click.echo(f"{file}: {states.summary(text)}")


@state.command("import")
@click.argument("connection")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def import_state(config: Settings, connection: str, file: Path, yes: bool) -> None:
    """Replace the state of CONNECTION (name or id) by the one in FILE."""
    text = states.check(file)
    airbyte = Airbyte(config)
    found = planning.find("connection", airbyte.list("connection"), connection)
    connection_id = str(found["connectionId"])
    click.echo(f"now:   {states.summary(airbyte.state(connection_id))}\nafter: {states.summary(text)}")
    click.echo("The next sync goes on from there: rows in between are read again, or never, if the tables lack them.")
    confirm("Replace?", yes)
    airbyte.replace_state(connection_id, text)
    click.echo(f"replaced the state of connection {found['name']}")


cli.add_command(upkeep.discover)
cli.add_command(upkeep.clear)


def _load(config: Settings, files: Sequence[Path]) -> Project:
    return projects.load(config.directory, config.variables, files, config.environment)


def _write_new(config: Settings, kind: Kind, name: str, text: str) -> None:
    file = scaffold.file_for(config.directory, kind, name)
    scaffold.write(config.directory, file, text)
    click.echo(f"wrote {file}")


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
