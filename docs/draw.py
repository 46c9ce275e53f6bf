"""Draws the pictures of docs/architecture.md, as Mermaid, from what they show: DDL, contracts, docker-compose.yml.

.venv/bin/python docs/draw.py            # writes them between the file's markers
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlglot
import yaml
from sqlglot import exp

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
_MARKED = re.compile(r"(<!-- drawn: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def services() -> str:
    """Long-running services, their ports, and which waits for which; one-shots are drawn round."""
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    lines = ["flowchart LR"]
    default = {name: each for name, each in document.items() if "default" in each.get("profiles", ["default"])}
    for name, service in default.items():
        port = "".join(f" :{each.split(':')[-1]}" for each in service.get("ports", []))
        opening, closing = ("([", "])") if service.get("restart") == "no" else ("[", "]")
        lines.append(f'    {name}{opening}"{name}{port}"{closing}')
    for name, service in default.items():
        lines += [f"    {other} --> {name}" for other in service.get("depends_on", {}) if other in default]
    return "\n".join(lines)


def source() -> str:
    """The marketplace database: every table and column of source_db/schema.sql."""
    lines, relations = ["erDiagram"], []
    for create in _tables((ROOT / "source_db" / "schema.sql").read_text()):
        table = create.find(exp.Table).name
        lines.append(f"    {table} {{")
        for column in create.find_all(exp.ColumnDef):
            keys = [constraint.kind for constraint in column.constraints]
            parent = next((key.find(exp.Table) for key in keys if isinstance(key, exp.Reference)), None)
            if parent is not None:
                mandatory = any(
                    isinstance(key, exp.NotNullColumnConstraint) and not key.args.get("allow_null") for key in keys
                )
                relations.append(f"    {parent.name} {'||' if mandatory else '|o'}--o{{ {table} : {column.name}")
            mark = (
                "PK" if any(isinstance(key, exp.PrimaryKeyColumnConstraint) for key in keys) else "FK" if parent else ""
            )
            kind = re.sub(r"\W+", "_", column.kind.sql("postgres").lower()).strip("_")
            lines.append(f"        {kind} {column.name} {mark}".rstrip())
        lines.append("    }")
    return "\n".join(lines + relations)


def marts() -> str:
    """The marts by their contracts: keys, and the columns by which one finds its rows in another."""
    models = [model for file in sorted((ROOT / "dbt/models/marts").rglob("_*__models.yml"))
              for model in yaml.safe_load(file.read_text())["models"]]  # fmt: skip
    # Several marts have one row per order: the entity's own is the one with the plainest name.
    keys = {_key(model): model["name"] for model in sorted(models, key=lambda model: -len(model["name"]))}
    referenced = {name: key for model in models for name, key in _tested_references(model)}
    lines, relations = ["erDiagram"], []
    for model in models:
        lines.append(f"    {model['name']} {{")
        for column in model["columns"]:
            name, is_key = column["name"], column["name"] == _key(model)
            parent = keys.get(referenced.get(name, name))
            related = parent is not None and parent != model["name"]
            if is_key or related:
                lines.append(f"        {column['data_type']} {name} {'PK' if is_key else 'FK'}")
            if related:
                relations.append(f"    {parent} ||--{'||' if is_key else 'o{'} {model['name']} : {name}")
        lines.append("    }")
    return "\n".join(lines + relations)


DRAWINGS: dict[str, Callable[[], str]] = {"services": services, "source": source, "marts": marts}


def drawn(text: str) -> str:
    """``text`` with each picture between its markers drawn anew; KeyError for a marker that nothing draws."""
    return _MARKED.sub(lambda match: f"{match[1]}```mermaid\n{DRAWINGS[match[2]]()}\n```\n{match[3]}", text)


def _tables(script: str) -> Iterator[exp.Create]:
    for statement in sqlglot.parse(script, read="postgres"):
        if isinstance(statement, exp.Create) and statement.kind == "TABLE":
            yield statement


def _key(model: dict[str, Any]) -> str | None:
    for column in model["columns"]:
        if any(constraint["type"] == "primary_key" for constraint in column.get("constraints", [])):
            return str(column["name"])
    return None


def _tested_references(model: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Column and key of each reference that a test guards: a buyer_id is a user_id."""
    for column in model["columns"]:
        for test in column.get("data_tests", []):
            if isinstance(test, dict) and (reference := test.get("references_upstream")):
                yield str(column["name"]), str(reference["arguments"]["key"])


if __name__ == "__main__":
    DOCUMENT.write_text(drawn(DOCUMENT.read_text()))
