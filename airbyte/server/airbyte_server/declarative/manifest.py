"""What the server itself needs of a low-code manifest: that it is one, its specification and its version."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft7Validator, SchemaError


class ManifestError(ValueError):
    """The file is no manifest that can be used; the message names file and reason."""


@dataclass(frozen=True)
class Manifest:
    """``specification`` is the protocol's ConnectorSpecification; ``version`` tells one content from another."""

    specification: dict[str, Any]
    version: str


def read_manifest(path: Path) -> Manifest:
    """Raises :class:`ManifestError`."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise ManifestError(f"{path} cannot be read as a low-code manifest: {error}") from error
    return parse_manifest(content, str(path))


def parse_manifest(content: Any, name: str) -> Manifest:
    """Raises :class:`ManifestError`, in which ``name`` stands for the manifest."""
    if not isinstance(content, dict) or content.get("type") != "DeclarativeSource":
        raise ManifestError(f"{name} is no low-code manifest: its type must be DeclarativeSource")
    spec = content.get("spec")
    specification = spec.get("connection_specification") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(specification, dict):
        raise ManifestError(f"{name} has no spec.connection_specification: the schema of its configuration")
    try:
        Draft7Validator.check_schema(specification)
    except SchemaError as error:
        raise ManifestError(f"{name}: spec.connection_specification is no JSON Schema: {error.message}") from error
    found = {"connectionSpecification": specification}
    if "documentation_url" in spec:
        found["documentationUrl"] = spec["documentation_url"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    return Manifest(found, f"{content.get('version', '0')}-{digest[:12]}")
