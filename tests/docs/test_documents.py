"""Documents are true as far as a machine can tell: links, paths, commands, pictures."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from real_services import BIN, ROOT

import local_stack.cli

DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "runbooks").glob("*.md"),
        ROOT / "benchmarks/README.md",
    ]
)
#: What is in .local depends on what the stack has done so far.
TOP_LEVEL = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build", "dist", ".local"}

#: Commands of ours and dbt's, as click objects: their subcommands and options are looked up in them.
COMMANDS = {
    "airbyte-server": "airbyte_server.cli:main",
    "bq-emulator": "bq_emulator.cli:main",
    "dbt": "dbt.cli.main:cli",
    "local-stack": "local_stack.cli:main",
    "octavia": "octavia.cli:cli",
    "source-db": "source_db.cli:main",
}


def fenced(text: str) -> Iterator[str]:
    """The command lines of the ``sh`` blocks, continuation lines joined."""
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        yield from (line for line in block.replace("\\\n", " ").splitlines() if line and not line.startswith("#"))


def anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def problems(document: Path, text: str) -> Iterator[str]:
    """What the document names that is not there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "mailto:")):
            name, _, anchor = target.partition("#")
            linked = document.parent / name if name else document
            if not linked.exists():
                yield f"link to {target}"
            elif anchor and anchor not in anchors(linked):
                yield f"anchor {target}"
    for named in re.findall(r"`([\w.-]+(?:/[\w.{},*<>-]+)+/?)`", text):
        if named.split("/")[0] in TOP_LEVEL and not set(named) & set("{}*<>") and not (ROOT / named).exists():
            yield f"path {named}"
    for line in fenced(text):
        yield from (f"{line!r}: {problem}" for problem in command_problems(line))
    for target in re.findall(r"`make ([a-z][\w-]*)", text):
        if target not in make_targets():
            yield f"make {target}"


def make_targets() -> dict[str, str]:
    """Recipe of each documented target."""
    makefile = (ROOT / "Makefile").read_text()
    return dict(re.findall(r"^([a-z][\w-]*):.*## .*\n((?:\t.*\n)*)", makefile, re.MULTILINE))


def command_problems(line: str) -> Iterator[str]:
    words = shlex.split(line, comments=True)
    if operators := [place for place, word in enumerate(words) if word in ("|", "||", "&&", ";", ">", ">>")]:
        words = words[: operators[0]]
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    if not words:
        return
    program, *arguments = words
    if program == "make":
        yield from make_problems(arguments)
    elif words[:2] == ["docker", "compose"]:
        yield from compose_problems(arguments[1:])
    elif program.startswith(".venv/bin/"):
        name = program.removeprefix(".venv/bin/")
        if name in ("airflow", "dbt", "octavia", "source-db"):
            yield f"{name} knows a stack's addresses only by local-stack exec"
        yield from program_problems(name, arguments)


def make_problems(arguments: list[str]) -> Iterator[str]:
    targets = [word for word in arguments if "=" not in word]
    for target in targets:
        if target not in make_targets():
            yield f"no target {target}"
            return
    recipe = "".join(make_targets()[target] for target in targets)
    for name, _, value in (word.partition("=") for word in arguments if "=" in word):
        if f"({name})" not in recipe and f"({name})," not in recipe and f"{{{name}:" not in recipe:
            yield f"{targets} takes no {name}"
        if name == "ARGS" and targets[0] in ("dbt", "octavia"):
            yield from program_problems(targets[0], shlex.split(value))


def compose_problems(arguments: list[str]) -> Iterator[str]:
    """The service is the first word after the subcommand that is no option."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    named = [word for word in arguments[1:] if not word.startswith("-")]
    if named and named[0] not in services:
        yield f"no service {named[0]}"


def program_problems(name: str, arguments: list[str]) -> Iterator[str]:
    if not (BIN / name).exists():
        yield f"no program {name}"
    elif name == "local-stack" and arguments[:1] == ["exec"]:
        yield from program_problems(arguments[1], arguments[2:])
    elif name in COMMANDS:
        yield from click_problems(command(name), arguments)
        if name == "dbt":
            yield from selection_problems(arguments)
    elif name in ("python", "pytest"):
        files = [word.partition("::")[0] for word in arguments if word.endswith(".py") or word.startswith("tests")]
        yield from (f"no file {file}" for file in files if not (ROOT / file).exists())


def selection_problems(arguments: list[str]) -> Iterator[str]:
    """What follows ``--select`` must be a node of the dbt project, or a tag that one has; other methods are dbt's."""
    for word in (after for before, after in pairwise(arguments) if before in ("--select", "-s")):
        for selector in word.split(","):
            method, _, value = selector.strip("+@0123456789").rpartition(":")
            # dbt's own name of a test that nobody named: the test's, the model's and the column's.
            names = {value, *(name for name in nodes_and_tags() if re.match(f"(unique|not_null)_{name}_", value))}
            if method in ("", "tag") and not names & nodes_and_tags():
                yield f"dbt selects no {selector}"


@cache
def nodes_and_tags() -> set[str]:
    files = [path for path in (ROOT / "dbt").rglob("*") if not {"target", "dbt_packages"} & set(path.parts)]
    declared = "".join(path.read_text() for path in files if path.suffix == ".yml")
    tags = {tag.strip() for tags in re.findall(r"tags: \[(.*?)\]", declared) for tag in tags.split(",")}
    names = set(re.findall(r"\bname: ([\w.]+)", declared))
    return tags | names | {path.stem for path in files if path.suffix in (".sql", ".csv")}


def command(name: str) -> click.Command:
    module, _, attribute = COMMANDS[name].partition(":")
    found: click.Command = getattr(import_module(module), attribute)
    return found


def click_problems(found: click.Command, arguments: list[str]) -> Iterator[str]:
    options: set[str] = {"--help"}
    while True:
        options |= {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
        if not isinstance(found, click.Group):
            break
        subcommand = next((word for word in arguments if word in found.commands), None)
        if subcommand is None:
            plain = [word for word in arguments if not word.startswith("-")]
            if plain and not any(word.startswith("--") for word in arguments):
                yield f"no subcommand {plain[0]} of {found.name}"
            break
        found = found.commands[subcommand]
    for word in arguments:
        if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options:
            yield f"no option {word}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    assert list(problems(document, document.read_text())) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "[gone](gone.md)", "[gone](architecture.md#no-such-part)", "`docs/gone.md`", "`make gone`",
        "```sh\nmake gone\n```", "```sh\nmake run DAYS=3\n```", '```sh\nmake dbt ARGS="bild"\n```',
        '```sh\nmake dbt ARGS="test --select tag:gone"\n```', '```sh\nmake dbt ARGS="build --select fct_gone+"\n```',
        '```sh\nmake octavia ARGS="apply --yess"\n```', "```sh\n.venv/bin/gone\n```",
        "```sh\n.venv/bin/source-db report\n```",
        "```sh\n.venv/bin/local-stack exec source-db seed --scail 1\n```", "```sh\n.venv/bin/pytest tests/gone.py\n```",
        "```sh\n.venv/bin/local-stack exec octavia aply\n```", "```sh\ndocker compose run --rm dtb build\n```",
    ],
)  # fmt: skip
def test_what_is_not_there_is_found(wrong: str) -> None:
    assert len(list(problems(ROOT / "docs" / "architecture.md", wrong + "\n"))) >= 1


def test_the_pictures_are_those_of_the_present_files() -> None:
    specification = importlib.util.spec_from_file_location("draw", ROOT / "docs" / "draw.py")
    assert specification is not None and specification.loader is not None
    draw: Any = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(draw)
    text = draw.DOCUMENT.read_text()
    assert draw.drawn(text) == text, "run .venv/bin/python docs/draw.py"
    assert text.count("```mermaid") == len(draw.DRAWINGS)
    assert "users ||--o{ orders : buyer_id" in text and "fct_orders ||--o{ fct_order_items : order_id" in text


def test_what_scaling_calls_measured_is_what_the_benchmarks_say() -> None:
    measured = set(re.findall(r"\d[\d,.]*\d|\d", (ROOT / "benchmarks/README.md").read_text()))
    _, table = (ROOT / "docs/scaling.md").read_text().split("| step | measured | grows with |\n|---|---|---|\n")
    rows = table.partition("\n\n")[0].splitlines()
    figures = {figure for row in rows for figure in re.findall(r"\d[\d,.]*\d|\d", row.split("|")[2])}
    assert len(figures) > 10 and figures - measured == set()


def test_every_document_of_the_folder_is_named_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f"docs/{path.name}" not in readme] == []
    assert isinstance(local_stack.cli.main, click.Group)
