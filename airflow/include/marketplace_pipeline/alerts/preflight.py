"""``python -m marketplace_pipeline.alerts.preflight``: could an alert leave now? No message is sent.

Prints a JSON list of findings, each with ``state`` (good, missing or unsure), ``what`` and ``advice``.
"""

from __future__ import annotations

import json
import os
import smtplib
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import httpx

from marketplace_pipeline.alerts.channels import AlertSettingsError, Email, Slack, from_environment

_TIMEOUT_SECONDS = 20
_UNREACHABLE = (OSError, smtplib.SMTPException)


def check(environment: Mapping[str, str] = os.environ) -> Iterator[dict[str, str]]:
    """Findings about the channels that ``environment`` sets up."""
    try:
        channels = from_environment(environment)
    except AlertSettingsError as error:
        yield _finding("missing", str(error), "Correct it; .env.example lists all of ALERT_*.")
        return
    if not channels:
        advice = "Set ALERT_SLACK_WEBHOOK_URL, or ALERT_SMTP_HOST and ALERT_EMAIL_TO."
        yield _finding("unsure", "alerts go to the log alone", advice)
    for channel in channels:
        yield _email(channel) if isinstance(channel, Email) else _slack(channel)


def _email(channel: Email) -> dict[str, str]:
    """Greeting, encryption, sign-in, and whether sender and recipients are taken; the mail itself is never begun."""
    where = f"mail server {channel.host}:{channel.port}"
    try:
        with channel.session() as server:
            code, answer = server.mail(channel.sender)
            if code != 250:
                return _refused(where, f"the sender {channel.sender}", code, answer, "ALERT_EMAIL_FROM")
            for recipient in channel.recipients:
                code, answer = server.rcpt(recipient)
                if code not in (250, 251):
                    return _refused(where, f"the recipient {recipient}", code, answer, "ALERT_EMAIL_TO")
            server.rset()
    except smtplib.SMTPAuthenticationError as error:
        return _refused(where, "the sign-in", error.smtp_code, error.smtp_error, "ALERT_SMTP_USER and _PASSWORD")
    except _UNREACHABLE as error:
        advice = "Correct ALERT_SMTP_HOST, ALERT_SMTP_PORT or ALERT_SMTP_SECURITY."
        return _finding("missing", f"{where} ({channel.security}): {error or type(error).__name__}", advice)
    people = ", ".join(channel.recipients)
    return _finding("good", f"{where} takes mail from {channel.sender} for {people} (none was sent)")


def _slack(channel: Slack) -> dict[str, str]:
    """Whether anybody answers at the webhook's host. Its path is a secret, and anything sent there may be a message."""
    parts = urlsplit(channel.url)
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        httpx.head(f"{origin}/", timeout=_TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        advice = "Correct ALERT_SLACK_WEBHOOK_URL, or let this machine reach it."
        return _finding("missing", f"webhook at {origin}: {error}", advice)
    return _finding("good", f"webhook's host {origin} answers (nothing was posted)")


def _refused(where: str, what: str, code: int, answer: bytes, variable: str) -> dict[str, str]:
    return _finding(
        "missing", f"{where} refuses {what}: {code} {answer.decode(errors='replace')}", f"Correct {variable}."
    )


def _finding(state: str, what: str, advice: str = "") -> dict[str, str]:
    return {"state": state, "what": what, "advice": advice}


if __name__ == "__main__":
    print(json.dumps(list(check())))
