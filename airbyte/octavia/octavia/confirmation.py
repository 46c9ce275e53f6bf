"""The question before something is changed on the server."""

from __future__ import annotations

import click

from octavia.errors import OctaviaError


def confirm(question: str, yes: bool) -> None:
    try:
        confirmed = yes or click.confirm(question)
    except click.Abort:
        confirmed = False
    if not confirmed:
        raise OctaviaError("not confirmed, nothing was sent; --yes goes on without asking")
