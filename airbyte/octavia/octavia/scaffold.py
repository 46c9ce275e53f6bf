"""Writing configuration files: where they lie, their header, and YAML that reads back as it was."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from slugify import slugify

from octavia.errors import OctaviaError
from octavia.project import Kind


class Quoted(str):
    """Text that is written in double quotes: a variable in it then stays text, whatever its value looks like."""


class Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


Dumper.add_representer(Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def to_yaml(value: Any) -> str:
    """Block YAML; keys keep their order."""
    return yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=118)


def literal(value: Any) -> Any:
    """``value`` with every ``${`` that is meant as it stands."""
    if isinstance(value, dict):
        return {name: literal(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [literal(inner) for inner in value]
    return value.replace("${", "$${") if isinstance(value, str) and not isinstance(value, Quoted) else value


def variable(*parts: str) -> str:
    """An environment variable's name made of ``parts``: ``("my shop", "password")`` → ``MY_SHOP_PASSWORD``."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", "_".join(parts)).strip("_").upper()
    return name if name[:1].isalpha() else f"_{name}"


def file_for(directory: Path, kind: Kind, name: str) -> Path:
    """Where a new resource's file goes."""
    return directory / f"{kind}s" / (slugify(name, separator="_") or "unnamed") / "configuration.yaml"


def write(directory: Path, file: Path, text: str, *, force: bool = False) -> None:
    """Write a configuration file, under a comment that tells editors its schema.

    Raises:
        OctaviaError: it is there already, and not ``force``.
    """
    if file.exists() and not force:
        raise OctaviaError(f"{file} is there already: --force writes over it, with the comments that are in it")
    file.parent.mkdir(parents=True, exist_ok=True)
    name = "connection" if file.parent.parent.name == "connections" else "actor"
    schema = schema_file(directory, name)
    header = f"# yaml-language-server: $schema={Path(os.path.relpath(schema, file.parent)).as_posix()}\n"
    file.write_text((header if schema.exists() else "") + text, encoding="utf-8")


def schema_file(directory: Path, name: str) -> Path:
    """The JSON Schema ``actor`` or ``connection``: octavia's own if it lies in the project, else ``init``'s copy."""
    own = Path(str(resources.files("octavia").joinpath(f"{name}.schema.json")))
    inside = own.resolve().is_relative_to(directory.resolve())
    return own if inside else directory / "schemas" / own.name


def init(directory: Path) -> list[Path]:
    """Make what a project needs and lacks; what was made."""
    made: list[Path] = []
    for name in ("sources", "destinations", "connections"):
        folder = directory / name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            made.append(folder)
    for name in ("actor", "connection"):
        file = schema_file(directory, name)
        text = resources.files("octavia").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
            made.append(file)
    ignored = directory / ".gitignore"
    lines = ignored.read_text(encoding="utf-8").splitlines() if ignored.exists() else []
    if ".env" not in lines:
        # Secrets live there.
        ignored.write_text("\n".join([*lines, ".env"]) + "\n", encoding="utf-8")
        made.append(ignored)
    return made
