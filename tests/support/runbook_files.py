"""Runbooks as files: their sections, their commands, and what these should print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from real_services import ROOT

RUNBOOKS = ROOT / "runbooks"
SECTIONS = (
    "Meaning", "Impact", "Diagnosis", "Mitigation", "Verification", "Escalation", "Common misconceptions",
)  # fmt: skip

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """Commands to be run in one shell; ``expected`` are texts that their output must hold, in this order."""

    commands: str
    expected: tuple[str, ...]


def names() -> set[str]:
    return {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}


def read(name: str) -> str:
    return (RUNBOOKS / f"{name}.md").read_text()


def fences(text: str) -> list[tuple[str, str]]:
    """(info, text) of each fenced block."""
    return [(found["info"].strip(), found["text"]) for found in _FENCE.finditer(text)]


def steps(name: str, *sections: str) -> list[Step]:
    """The ``sh`` blocks of these sections (all, if none is named), each with the ``text`` block that follows it."""
    parts = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", read(name), re.MULTILINE | re.DOTALL))
    found: list[Step] = []
    for section in sections or SECTIONS:
        for info, text in fences(parts[section]):
            if info == "sh":
                found.append(Step(text, ()))
            elif info == "text":
                found[-1] = Step(found[-1].commands, tuple(text.replace("…", "").split("\n")[:-1]))
    return found


def path_of(link: str, base: Path) -> Path:
    return (base / link.split("#")[0]).resolve()
