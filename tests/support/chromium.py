"""The browser of the tests: Debian's chromium. As a command: install it where it is missing, if that can be done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

COMMAND = "apt-get update && apt-get install --yes --no-install-recommends chromium"


def find() -> str | None:
    """Where it is; a browser of another name is given by CHROMIUM."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def main() -> None:
    if find():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"The review UI is tested in a browser, and there is no chromium. Install it: sudo sh -c '{COMMAND}'")
    print("Installing chromium for the browser tests…", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    installed = subprocess.run(["sh", "-c", COMMAND], env=environment, capture_output=True, text=True)
    if installed.returncode or not find():
        sys.exit(f"chromium could not be installed ({COMMAND}):\n{installed.stdout[-2000:]}{installed.stderr[-2000:]}")


if __name__ == "__main__":
    main()
