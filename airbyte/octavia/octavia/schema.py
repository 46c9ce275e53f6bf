"""Files against the JSON Schemas shipped beside this module (editors use the same ones)."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from octavia.errors import Problem
from octavia.secrets import MASK
from octavia.yamlfile import Document, KeyPath


@cache
def _validator(name: str) -> Draft202012Validator:
    text = resources.files("octavia").joinpath(f"{name}.schema.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def problems(document: Document, kind: str) -> list[Problem]:
    """Where ``document`` differs from the schema of a ``kind``: ``source``, ``destination`` or ``connection``."""
    if not isinstance(document.value, dict):
        return [document.problem((), f"should be a mapping that describes a {kind}")]
    found: list[Problem] = []
    for error in _validator("connection" if kind == "connection" else "actor").iter_errors(document.value):
        found += [document.problem(key, message) for key, message in _explain(document, error)]
    declared = document.value.get("definition_type")
    if declared in ("source", "destination", "connection") and declared != kind:
        message = f"is {declared!r}, but the file lies in {kind}s/: move it to {declared}s/ or write {kind!r}"
        found = [problem for problem in found if problem.key != "definition_type"]
        found.append(document.problem(("definition_type",), message))
    return found


def _shown(document: Document, key: KeyPath, value: Any) -> str:
    """A value for a message; of a list or mapping only what it is, as secrets may be in it."""
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return MASK if document.is_secret(key) else json.dumps(value, ensure_ascii=False)


def _explain(document: Document, error: ValidationError) -> Iterator[tuple[KeyPath, str]]:
    key: KeyPath = tuple(error.absolute_path)
    schema: dict[str, Any] = error.schema if isinstance(error.schema, dict) else {}
    wanted: Any = error.validator_value
    instance: Any = error.instance
    value = _shown(document, key, instance)
    hint = f" ({schema['$comment']})" if "$comment" in schema else ""
    match error.validator:
        case "additionalProperties":
            known = list(schema["properties"])
            for name in sorted(set(instance) - set(known)):
                snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
                close = difflib.get_close_matches(snake, known, n=1)
                cure = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
                yield (*key, name), f"unknown key; {cure}"
        case "required":
            for name in wanted:
                if name not in instance:
                    yield key, f"lacks the required key {name}"
        case "enum":
            yield key, f"is {value}, should be one of {', '.join(map(str, wanted))}{hint}"
        case "const":
            yield key, f"is {value}, only {json.dumps(wanted)} is possible{hint}"
        case "type":
            types = wanted if isinstance(wanted, list) else [wanted]
            yield key, f"is {value}, should be of type {' or '.join(types)}{hint}"
        case "pattern":
            yield key, f"is {value}, should be {schema.get('description', wanted)}{hint}"
        case "minItems" | "minLength":
            yield key, "is empty"
        case "maxItems":
            yield key, f"should be empty{hint}"
        case _:
            yield key, f"is {value}: breaks {error.validator} {json.dumps(wanted)}{hint}"
