"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``good``, ``missing`` (the pipeline will fail) or ``unsure`` (it may, or should not be so).

    ``advice`` says what to do, and is empty for what is good.
    """

    state: Literal["good", "missing", "unsure"]
    what: str
    advice: str = ""
