"""Where the project and the server are: environment variables, and ``.env`` for those that are not set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from octavia.errors import OctaviaError

DEFAULT_API_URL = "http://127.0.0.1:8000/api/public/v1"


@dataclass(frozen=True)
class Settings:
    """Everything octavia takes from outside its files."""

    directory: Path
    variables: Mapping[str, str]
    """What ``${VAR}`` can name: the environment over ``.env``."""
    api_url: str
    """Base of the public API, without a trailing slash."""
    client_id: str | None
    client_secret: str | None
    workspace: str | None
    """Name or id; None for the server's first workspace."""
    environment: str | None
    """Whose ``configuration.<environment>.yaml`` are laid over the files."""


def load(directory: Path | None = None, workspace: str | None = None, environment: str | None = None) -> Settings:
    """Settings for the project in ``directory``; None looks for ``./airbyte/sources``, else takes this folder.

    ``workspace`` and ``environment`` win over their variables, which win over the project folder's ``.env``,
    and that one over the ``.env`` of this folder. ``OCTAVIA_ENV_FILE`` names one file in the place of both.

    Raises:
        OctaviaError: no such folder or file, or only one half of the credentials.
    """
    if directory is None:
        directory = Path("airbyte") if Path("airbyte/sources").is_dir() else Path(".")
    if not directory.is_dir():
        raise OctaviaError(f"--directory {directory}: no such folder")
    named = os.environ.get("OCTAVIA_ENV_FILE")
    if named and not Path(named).exists():
        raise OctaviaError(f"OCTAVIA_ENV_FILE is {named!r}: no such file")
    variables: dict[str, str] = {}
    for file in [Path(named)] if named else [Path(".env"), directory / ".env"]:
        variables |= {name: value for name, value in dotenv_values(file).items() if value is not None}
    variables |= os.environ
    client_id, client_secret = variables.get("AIRBYTE_CLIENT_ID"), variables.get("AIRBYTE_CLIENT_SECRET")
    if bool(client_id) != bool(client_secret):
        missing = "AIRBYTE_CLIENT_SECRET" if client_id else "AIRBYTE_CLIENT_ID"
        raise OctaviaError(f"{missing} is not set: Airbyte's applications have an id and a secret, set both or none")
    return Settings(
        directory,
        variables,
        (variables.get("AIRBYTE_API_URL") or DEFAULT_API_URL).rstrip("/"),
        client_id or None,
        client_secret or None,
        workspace or variables.get("AIRBYTE_WORKSPACE_ID") or None,
        environment or variables.get("OCTAVIA_ENVIRONMENT") or None,
    )
