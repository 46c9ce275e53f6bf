"""Import this to run dbt in a test's process at its own speed.

dbt finds out which module defines each behaviour flag by ``inspect.stack()``, for every adapter it makes. Under pytest
the stack is a hundred frames deep and each frame is looked up among thousands of modules: three quarters of a run.
"""

from __future__ import annotations

import sys

from dbt_common import behavior_flags


def _default_source() -> str:
    """The same answer from the frames' own globals."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") == behavior_flags.__name__:
        frame = frame.f_back
    return "Unknown" if frame is None else str(frame.f_globals.get("__name__"))


behavior_flags.BehaviorFlagRendered._default_source = staticmethod(_default_source)
