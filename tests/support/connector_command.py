"""A connector's command in this process: starting another takes longer than most commands do."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Sequence

import pytest


def run_connector(program: str, arguments: Sequence[str], stdin: bytes = b"") -> tuple[bytes, int]:
    """What ``source-postgres`` or ``destination-bigquery`` prints on standard output, and its exit status."""
    cli = importlib.import_module(f"{program.replace('-', '_')}.cli")
    output = io.TextIOWrapper(io.BytesIO())
    status = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        patch.setattr(sys, "stdout", output)
        try:
            cli.main(list(arguments))
        except SystemExit as ending:
            status = int(ending.code or 0)
    return output.buffer.getvalue(), status
