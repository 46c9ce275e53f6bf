"""The environment of ``source-declarative-manifest``: made when it is first needed, from hashed requirements."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_REQUIREMENTS = Path(__file__).parent / "requirements.lock"
_COMMAND = "source-declarative-manifest"
_INSTALL_SECONDS = 150


class EnvironmentUnavailable(RuntimeError):
    """The environment could not be made; the message names what failed."""


def command(folder: Path, log: Callable[[str], None]) -> Path:
    """The executable ``source-declarative-manifest`` of the environment below ``folder``, which is made when missing.

    Another version of the requirements gets another environment. Safe to call from several processes at once. Raises
    :class:`EnvironmentUnavailable`.
    """
    digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
    environment = folder / f"declarative-{digest}"
    complete = environment / "complete"
    if not complete.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not complete.exists():
                log(f"installing airbyte-cdk into {environment} (once)")
                shutil.rmtree(environment, ignore_errors=True)
                _install(environment)
                complete.touch()
    return environment / "bin" / _COMMAND


def _install(environment: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    steps: tuple[list[str | Path], ...] = (
        [uv, "venv", "--quiet", "--python", sys.executable, environment],
        [uv, "pip", "sync", "--quiet", "--python", environment / "bin/python", "--require-hashes", _REQUIREMENTS],
    )
    for arguments in steps:
        try:
            subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except subprocess.CalledProcessError as error:
            raise EnvironmentUnavailable(
                "airbyte-cdk, which runs low-code manifests, could not be installed; is the package index reachable? "
                + _without_credentials(error.stderr.strip())
            ) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentUnavailable(
                f"airbyte-cdk, which runs low-code manifests, could not be installed: {type(error).__name__} of {uv}"
            ) from error


def _without_credentials(text: str) -> str:
    """The address of an index may hold a password."""
    return re.sub(r"://[^/@\s]+@", "://", text)
