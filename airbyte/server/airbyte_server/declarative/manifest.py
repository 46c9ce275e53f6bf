"""What the server itself needs of a low-code manifest: that it is one, its specification and its version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class ManifestError(ValueError):
    """The file is no manifest that can be used; the message names file and reason."""


@dataclass(frozen=True)
class Manifest:
    """``specification`` is the protocol's ConnectorSpecification; ``version`` changes with every change of the file."""

    specification: dict[str, Any]
    version: str


def read_manifest(path: Path) -> Manifest:
    """Raises :class:`ManifestError`."""
    try:
        text = path.read_bytes()
        content: Any = yaml.safe_load(text)
        if not isinstance(content, dict) or content.get("type") != "DeclarativeSource":
            raise ManifestError(f"{path} is no low-code manifest: its type must be DeclarativeSource")
        specification = (content.get("spec") or {}).get("connection_specification")
        if not isinstance(specification, dict):
            raise ManifestError(f"{path} has no spec.connection_specification: the schema of its configuration")
        found = {"connectionSpecification": specification}
        if "documentation_url" in content["spec"]:
            found["documentationUrl"] = content["spec"]["documentation_url"]
        return Manifest(found, f"{content.get('version', '0')}-{hashlib.sha256(text).hexdigest()[:12]}")
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise ManifestError(f"{path} cannot be read as a low-code manifest: {error}") from error
