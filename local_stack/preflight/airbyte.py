"""Airbyte: its public API takes our credentials, and what the files declare can be compared with what it has."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import httpx

from local_stack.airbyte_api import AirbyteApi
from local_stack.preflight.finding import Finding
from local_stack.settings import ROOT, Settings

_CHANGES = 2  # octavia plan: there is something to apply


def check(settings: Settings) -> Iterator[Finding]:
    """Findings about AIRBYTE_*; ``octavia plan`` only reads."""
    url = settings.airbyte.url
    try:
        AirbyteApi(url, *settings.airbyte_credentials).running_job()
    except httpx.HTTPStatusError as error:
        yield Finding(
            "missing",
            f"{url}: {error.response.status_code} to {error.request.url.path}",
            "Correct AIRBYTE_API_URL (…/api/public/v1, or https://api.airbyte.com/v1), AIRBYTE_CLIENT_ID and _SECRET.",
        )
        return
    except (httpx.HTTPError, ValueError, KeyError) as error:
        yield Finding("missing", f"{url} is no Airbyte API: {error}", "Start Airbyte, or correct AIRBYTE_API_URL.")
        return
    yield Finding("good", f"{url} takes AIRBYTE_CLIENT_ID")
    plan = subprocess.run(
        [settings.bin / "octavia", "--directory", ROOT / "airbyte", "plan"],
        env=settings.child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if plan.returncode not in (0, _CHANGES):
        yield Finding("missing", f"octavia plan: {plan.stderr.strip()}", "Correct what it names.")
    elif plan.returncode == _CHANGES:
        yield Finding("unsure", "the connections differ from the files", "make octavia ARGS=plan, then ARGS=apply")
    else:
        yield Finding("good", "the connections are as declared")
