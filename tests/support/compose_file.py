"""docker-compose.yml and the Dockerfile as data, read by the rules of their specifications as far as ours use them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values
from real_services import ROOT

# https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<operator>:?[-?])(?P<operand>[^{}]*))?\})", re.DOTALL
)
_INSTRUCTION = re.compile(r"^([A-Z]+)\s+(.*)$", re.DOTALL)


class Compose:
    """The services of docker-compose.yml with ``variables`` put in."""

    def __init__(self, variables: Mapping[str, str], file: Path = ROOT / "docker-compose.yml") -> None:
        self._variables = variables
        #: Variables without which compose refuses the file.
        self.required: set[str] = set()
        self.document = self._interpolated(yaml.safe_load(file.read_text()))
        self.services: dict[str, dict[str, Any]] = self.document["services"]

    def environment(self, name: str) -> dict[str, str]:
        """What the container of service ``name`` gets beside the image's own variables."""
        service = self.services[name]
        files = [service["env_file"]] if service.get("env_file") else []
        return {
            **{
                key: value or ""
                for file in files
                for key, value in dotenv_values(ROOT / file, interpolate=False).items()
            },
            **{
                # One without a value has the value that compose itself sees, if any.
                key: self._variables.get(key) if value is None else value
                for key, value in service.get("environment", {}).items()
                if value is not None or key in self._variables
            },
        }

    def command(self, name: str) -> list[str]:
        service = self.services[name]
        return [*service.get("entrypoint", []), *service["command"]]

    def active(self, *profiles: str) -> list[str]:
        """The services that ``docker compose up`` starts with these profiles, each after those it depends on."""
        chosen = {
            name
            for name, service in self.services.items()
            if not service.get("profiles") or set(service["profiles"]) & set(profiles)
        }
        ordered: list[str] = []

        def visit(name: str) -> None:
            for other, condition in self.services[name].get("depends_on", {}).items():
                if other in chosen:
                    visit(other)
                elif condition.get("required", True):
                    raise ValueError(f"{name} depends on {other}, which profiles {profiles} leave out")
            if name not in ordered:
                ordered.append(name)

        for name in self.services:
            if name in chosen:
                visit(name)
        return ordered

    def _interpolated(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._interpolated(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._interpolated(each) for each in value]
        return _VARIABLE.sub(self._variable, value) if isinstance(value, str) else value

    def _variable(self, match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        value = self._variables.get(match["name"])
        operator = match["operator"] or ""
        if operator.endswith("?"):
            self.required.add(match["name"])
            if value is None or (operator == ":?" and not value):
                raise KeyError(match["name"])
        if operator.endswith("-") and (value is None or (operator == ":-" and not value)):
            return match["operand"]
        return value or ""


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, of the build stage or of the final one."""

    stage: int
    name: str
    text: str

    @property
    def assignments(self) -> dict[str, str]:
        """Of an ENV instruction."""
        return dict(word.split("=", 1) for word in shlex.split(self.text))


def dockerfile(file: Path = ROOT / "Dockerfile") -> Iterator[Instruction]:
    """The instructions in order; stages count from 0."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    stage = -1
    for text in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        match = _INSTRUCTION.match(text)
        assert match, text
        stage += match[1] == "FROM"
        yield Instruction(stage, match[1], match[2])


def image_environment(path: str) -> dict[str, str]:
    """The variables of the finished image; ``path`` is the base image's PATH."""
    environment = {"PATH": path}
    for instruction in dockerfile():
        if instruction.stage == 1 and instruction.name == "ENV":
            for name, value in instruction.assignments.items():
                environment[name] = value.replace("$PATH", environment["PATH"])
    return environment
