"""How a message leaves: Slack's incoming webhook and e-mail, as far as they are set up; the log always.

Slack's own client and the standard library's SMTP, not Airflow's hooks around the same two: these need a running
Airflow to look up a connection, and alerts must leave without one.
"""

from __future__ import annotations

import logging
import os
import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from slack_sdk.http_retry.builtin_handlers import ConnectionErrorRetryHandler, RateLimitErrorRetryHandler
from slack_sdk.webhook import WebhookClient

from marketplace_pipeline.alerts.finding import Message

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 20
_SLACK_LONGEST = 3000  # characters Slack takes in one block of text
_SECURITY = ("none", "starttls", "tls")


class AlertSettingsError(Exception):
    """An ``ALERT_*`` variable cannot work; the message names it."""


@dataclass(frozen=True)
class Email:
    """``security`` is none, starttls or tls."""

    host: str
    port: int
    security: str
    user: str
    password: str
    sender: str
    recipients: tuple[str, ...]

    @contextmanager
    def session(self) -> Iterator[smtplib.SMTP]:
        """A connection to the server, encrypted and signed in as the settings say."""
        context = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT_SECONDS, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_SECONDS)
        with server:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password)
            server.ehlo_or_helo_if_needed()
            yield server

    def send(self, message: Message) -> None:
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail.set_content(message.body)
        with self.session() as server:
            server.send_message(mail)


@dataclass(frozen=True)
class Slack:
    """``url`` is the webhook's, a secret."""

    url: str

    def send(self, message: Message) -> None:
        handlers = [ConnectionErrorRetryHandler(), RateLimitErrorRetryHandler()]  # each tries once more
        client = WebhookClient(self.url, timeout=_TIMEOUT_SECONDS, retry_handlers=handlers)
        body = message.body
        if len(body) > _SLACK_LONGEST:  # the runbook's address is the last line
            head, _, runbook = body.rpartition("\n")
            body = f"{head[: _SLACK_LONGEST - len(runbook) - 3]}…\n{runbook}"
        answer = client.send(
            text=message.subject,
            blocks=[
                {"type": "header", "text": {"type": "plain_text", "text": message.subject[:150]}},
                {"type": "section", "text": {"type": "plain_text", "text": body}},
            ],
        )
        if answer.status_code != 200:
            raise RuntimeError(f"Slack answered {answer.status_code}: {answer.body[:200]}")


Channel = Email | Slack


def from_environment(environment: Mapping[str, str] = os.environ) -> list[Channel]:
    """The channels that are set up by ``ALERT_*`` variables; none is fine.

    Raises:
        AlertSettingsError: if a channel is half set up, or a value cannot work.
    """
    channels: list[Channel] = []
    if url := environment.get("ALERT_SLACK_WEBHOOK_URL"):
        if not url.startswith(("http://", "https://")):
            raise AlertSettingsError("ALERT_SLACK_WEBHOOK_URL is not an address that starts with https://.")
        channels.append(Slack(url))
    host, to = environment.get("ALERT_SMTP_HOST"), environment.get("ALERT_EMAIL_TO")
    if bool(host) != bool(to):
        missing = "ALERT_EMAIL_TO" if host else "ALERT_SMTP_HOST"
        raise AlertSettingsError(f"E-mail needs both ALERT_SMTP_HOST and ALERT_EMAIL_TO: set {missing}, or neither.")
    if host and to:
        channels.append(_email(host, to, environment))
    return channels


def _email(host: str, to: str, environment: Mapping[str, str]) -> Email:
    security = environment.get("ALERT_SMTP_SECURITY") or "starttls"
    if security not in _SECURITY:
        raise AlertSettingsError(f"ALERT_SMTP_SECURITY is {security!r}: give one of {', '.join(_SECURITY)}.")
    port = environment.get("ALERT_SMTP_PORT") or {"none": "25", "starttls": "587", "tls": "465"}[security]
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise AlertSettingsError(f"ALERT_SMTP_PORT is {port!r}: give a port number from 1 to 65535.")
    recipients = tuple(address.strip() for address in to.split(",") if address.strip())
    return Email(
        host=host,
        port=int(port),
        security=security,
        user=environment.get("ALERT_SMTP_USER") or "",
        password=environment.get("ALERT_SMTP_PASSWORD") or "",
        sender=environment.get("ALERT_EMAIL_FROM") or recipients[0],
        recipients=recipients,
    )


def deliver(message: Message, channels: list[Channel]) -> bool:
    """Send by every channel and to the log; whether each channel that is set up took it.

    A channel that fails is logged, without its address, which may hold a secret, and does not keep the others from it.
    """
    log.warning("%s\n%s", message.subject, message.body)
    taken = True
    for channel in channels:
        try:
            channel.send(message)
        except Exception as error:
            taken = False
            log.error("The alert could not be sent by %s: %s", type(channel).__name__, _reason(channel, error))
    return taken


def _reason(channel: Channel, error: Exception) -> str:
    secret = channel.url if isinstance(channel, Slack) else channel.password
    text = f"{type(error).__name__}: {error}"
    return text.replace(secret, "***") if secret else text
