"""A connector out of a manifest: ``python -m airbyte_server.declarative MANIFEST ENVIRONMENTS COMMAND [OPTION]…``.

``spec`` is answered from the manifest. All other commands become those of ``source-declarative-manifest``, in the
environment below the folder ENVIRONMENTS.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from airbyte_server.declarative.environment import EnvironmentUnavailable, command
from airbyte_server.declarative.manifest import ManifestError, read_manifest


def main(arguments: list[str]) -> int:
    manifest, environments, *rest = arguments
    try:
        if rest[0] == "spec":
            _emit("SPEC", "spec", read_manifest(Path(manifest)).specification)
            return 0
        executable = command(Path(environments), _log)
    except ManifestError as error:
        return _fail("config_error", error)
    except EnvironmentUnavailable as error:
        return _fail("system_error", error)
    sys.stdout.flush()
    # In its place: the server's signals, pipes and process group are the connector's own.
    os.execv(executable, [str(executable), *rest, "--manifest-path", manifest])


def _emit(kind: str, member: str, value: dict[str, Any]) -> None:
    print(json.dumps({"type": kind, member: value}), flush=True)


def _log(message: str) -> None:
    _emit("LOG", "log", {"level": "INFO", "message": message})


def _fail(failure_type: str, error: Exception) -> int:
    details = {"message": str(error), "failure_type": failure_type}
    _emit("TRACE", "trace", {"type": "ERROR", "emitted_at": int(time.time() * 1000), "error": details})
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
