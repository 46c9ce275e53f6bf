"""Health checks of containers: ``python -m local_stack.probe URL [COMPONENT]``. Exit status 0 is healthy.

The answer must be 200 and, with a component named, Airflow's report must call that component healthy. Only the standard
library is imported: the check runs every few seconds.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Sequence


def problem(url: str, component: str | None = None) -> str | None:
    """What keeps the service behind ``url`` from being called healthy, or None."""
    try:
        with urllib.request.urlopen(url, timeout=8) as answer:  # noqa: S310 (the address comes from the compose file)
            body = answer.read()
    except (OSError, ValueError) as error:
        return f"{url}: {error}"
    if component is None:
        return None
    status = json.loads(body).get(component, {}).get("status")
    return None if status == "healthy" else f"{url}: {component} is {status}"


def main(arguments: Sequence[str]) -> str | int:
    if len(arguments) not in (1, 2):
        return "usage: python -m local_stack.probe URL [COMPONENT]"
    return problem(*arguments) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
