"""``copy_binary.c`` as a library: compiled once, beside Python's bytecode.

The compiler is Zig's, a wheel of the package index that needs nothing of the machine. ``python -P -m
source_postgres.native`` compiles ahead; otherwise the first read does. Without library and compiler rows are copied as
CSV: slower, with the same results.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("copy_binary.c")
#: Any processor of its kind, not only this one: images travel.
_OPTIONS = ["-shared", "-O2", "-mcpu=baseline", "-Wall", "-Wextra", "-Werror"]
if sys.platform == "linux":
    # What it calls (memcpy) is in the process that loads it; Zig's own libc would take five seconds to be made.
    _OPTIONS.append("-nostdlib")


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library; None where it is neither compiled nor can be."""
    if sys.byteorder != "little":  # as Arrow's buffers are, and what it writes into them is not
        return None
    path = _path()
    if not path.exists():
        try:
            _compile(path)
        except (OSError, subprocess.CalledProcessError):
            return None
    found = ctypes.CDLL(str(path))
    found.measure.restype = ctypes.c_int64
    return found


def _path() -> Path:
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    return _SOURCE.parent / "__pycache__" / f"{_SOURCE.stem}-{digest}.{sys.platform}-{os.uname().machine}.so"


def _compile(path: Path) -> None:
    """Raises OSError where there is no compiler or nothing may be written, CalledProcessError with what Zig says."""
    if importlib.util.find_spec("ziglang") is None:
        raise FileNotFoundError("The Python package ziglang is not installed.")
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        subprocess.run(
            [sys.executable, "-P", "-m", "ziglang", "cc", *_OPTIONS, "-o", made, _SOURCE],
            env=os.environ | {"ZIG_LOCAL_CACHE_DIR": scratch, "ZIG_GLOBAL_CACHE_DIR": scratch},
            capture_output=True,
            text=True,
            check=True,
        )
        # Who starts at the same time makes the same.
        made.replace(path)


if __name__ == "__main__":
    try:
        _compile(_path())
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{_SOURCE} could not be compiled:\n{error.stderr}") from error
