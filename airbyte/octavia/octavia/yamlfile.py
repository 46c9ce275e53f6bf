"""A configuration file as data that remembers the line of every key and which values came from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from octavia.environment import ExpansionError, expand
from octavia.errors import InvalidFiles, Problem
from octavia.secrets import is_secret_name

KeyPath = tuple[str | int, ...]
"""Where a value is: mapping keys and list positions from the top of the file."""

_DROPPED = object()
# Airbyte itself fills this one in, per stream, while it syncs.
_LITERAL_VARIABLES = {"namespace_format": ("SOURCE_NAMESPACE",)}


class _Loader(yaml.SafeLoader):
    """YAML without timestamps, which JSON has no type for: an unquoted date stays the text it is."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


@dataclass
class Document:
    """One file's content.

    ``lines`` gives the line (from 1) of each key; ``written`` the text in the file of each scalar that names a
    variable; ``secret_values`` every value, literal or from the environment, that its name calls secret.
    """

    file: Path
    value: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    variables: dict[KeyPath, frozenset[str]] = field(default_factory=dict)
    secret_values: set[str] = field(default_factory=set)
    origins: dict[KeyPath, Path] = field(default_factory=dict)
    """The file of each key that comes from an overlay and not from ``file``."""

    def is_secret(self, key: KeyPath) -> bool:
        """Whether the key, a key above it, or a variable its value was made of has a secret's name."""
        names = {part for part in key if isinstance(part, str)} | self.variables.get(key, frozenset())
        return any(map(is_secret_name, names))

    def problem(self, key: KeyPath, message: str) -> Problem:
        """A fault at ``key``, with the line of the nearest key that is in the file."""
        nearest = key
        while nearest and nearest not in self.lines:
            nearest = nearest[:-1]
        return Problem(self.origins.get(nearest, self.file), self.lines.get(nearest, 1), dotted(key), message)


def dotted(key: KeyPath) -> str:
    """``('streams', 0, 'config')`` as ``streams[0].config``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).removeprefix(".")


def read(file: Path, variables: Mapping[str, str]) -> Document:
    """Parse ``file`` and expand the environment variables in it.

    A plain scalar that names a variable takes the type its expanded text has in YAML, a quoted one stays a string. A
    value that is empty because its variables are is left out, key and all.

    Raises:
        InvalidFiles: unreadable file, YAML syntax, a key twice, or variables that are not set: all of them at once.
    """
    try:
        loader = _Loader(file.read_text(encoding="utf-8"))
        reader = _Reader(Document(file), loader, variables)
        root = loader.get_single_node()
        if root is not None:
            value = reader.build(root, ())
            reader.document.value = None if value is _DROPPED else value
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFiles([Problem(file, 1, "", f"cannot be read: {error}")]) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reason = " ".join(filter(None, [error.context, error.problem]))
        raise InvalidFiles([Problem(file, line, "", f"is not YAML: {reason}")]) from error
    except yaml.YAMLError as error:
        raise InvalidFiles([Problem(file, 1, "", f"is not YAML: {error}")]) from error
    if reader.problems:
        raise InvalidFiles(reader.problems)
    return reader.document


class _Reader:
    def __init__(self, document: Document, loader: _Loader, variables: Mapping[str, str]) -> None:
        self.document = document
        self.loader = loader
        self.variables = variables
        self.problems: list[Problem] = []
        self._merged: set[int] = set()
        self._open: list[yaml.Node] = []

    def build(self, node: yaml.Node, key: KeyPath) -> Any:
        self.document.lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, key)
        if node in self._open:
            self._fault(key, "an alias that contains itself")
            return None
        self._open.append(node)
        value: Any = None
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, key)
        elif isinstance(node, yaml.SequenceNode):
            value = self._sequence(node, key)
        self._open.pop()
        return value

    def _mapping(self, node: yaml.MappingNode, key: KeyPath) -> dict[str, Any]:
        # Once per node: an alias comes here again, with the merged keys already in it.
        if id(node) not in self._merged:
            self._merged.add(id(node))
            names: set[str] = set()
            for name_node, _ in node.value:
                name = str(name_node.value)
                if name in names and name_node.tag != "tag:yaml.org,2002:merge":
                    self.document.lines[(*key, name)] = name_node.start_mark.line + 1
                    self._fault((*key, name), "is there twice")
                names.add(name)
            self.loader.flatten_mapping(node)
        result: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = str(name_node.value)
            self.document.lines[(*key, name)] = name_node.start_mark.line + 1
            value = self.build(value_node, (*key, name))
            if value is not _DROPPED:
                result[name] = value
        return result

    def _sequence(self, node: yaml.SequenceNode, key: KeyPath) -> list[Any]:
        result: list[Any] = []
        for child in node.value:
            position = (*key, len(result))
            self.document.lines[position] = child.start_mark.line + 1
            value = self.build(child, position)
            if value is not _DROPPED:
                result.append(value)
        return result

    def _scalar(self, node: yaml.ScalarNode, key: KeyPath) -> Any:
        literal = _LITERAL_VARIABLES.get(str(key[-1]), ()) if key else ()
        try:
            expansion = expand(node.value, self.variables, literal)
        except ExpansionError as error:
            self._fault(key, str(error))
            return None
        tag = node.tag
        if expansion.variables:
            self.document.written[key] = node.value
            self.document.variables[key] = frozenset(expansion.variables)
            self.document.secret_values |= {
                value for name, value in expansion.variables.items() if is_secret_name(name) and value
            }
            if not expansion.text:
                return _DROPPED
            if node.style is None:
                tag = self.loader.resolve(yaml.ScalarNode, expansion.text, (True, False))
        if self.document.is_secret(key) and expansion.text:
            self.document.secret_values.add(expansion.text)
        try:
            return self.loader.construct_object(
                yaml.ScalarNode(tag, expansion.text, node.start_mark, node.end_mark, node.style)
            )
        except (yaml.YAMLError, ValueError):
            self._fault(key, f"its value is not a valid {tag.rpartition(':')[2]}")
            return None

    def _fault(self, key: KeyPath, message: str) -> None:
        self.problems.append(self.document.problem(key, message))
