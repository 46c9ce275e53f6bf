"""Alerts from finding to mailbox: a real SMTP server and a real HTTP sink, one message each, one when it is over."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from marketplace_pipeline.alerts import channels, ledger, preflight
from marketplace_pipeline.alerts.classify import alert_for
from marketplace_pipeline.alerts.finding import Finding, Message, Sample
from marketplace_pipeline.alerts.registry import ALERTS
from real_services import free_port

NOW = datetime(2026, 7, 1, 3, tzinfo=UTC)
SAMPLE = Sample("test_failures.gate_x", 7, ["order_id", "email"], [["o1", "•••"]])


def finding(*subjects: str, alert: str = "MissingExchangeRate") -> Finding:
    return Finding(alert, frozenset(subjects), ("XXX has no rate",), "http://airflow/log", (SAMPLE,))


class Mailbox:
    """Keeps what an SMTP server took. It lets in who says the password ``right``, and knows nobody called gone."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.asked: list[str] = []

    def sign_in(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        return AuthResult(success=login.password == b"right", handled=False)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        self.asked.append(address)
        if address.startswith("gone@"):
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[arg-type]
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=box.sign_in, auth_require_tls=False
    )
    controller.start()
    yield box, controller.port
    controller.stop()


@pytest.fixture
def webhook() -> Iterator[tuple[list[dict[str, Any]], str]]:
    """What was posted, and the address; a path ending in /broken answers 500."""
    posted: list[dict[str, Any]] = []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path.endswith("broken") else 200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield posted, f"http://127.0.0.1:{server.server_port}/services"
    server.shutdown()


def test_one_message_each_by_slack_and_mail_then_silence_then_recovery(
    mailbox: tuple[Mailbox, int], webhook: tuple[list[dict[str, Any]], str], tmp_path: Path
) -> None:
    box, port = mailbox
    posted, url = webhook
    settings = {
        "ALERT_SLACK_WEBHOOK_URL": url,
        "ALERT_SMTP_HOST": "127.0.0.1",
        "ALERT_SMTP_PORT": str(port),
        "ALERT_SMTP_SECURITY": "none",
        "ALERT_EMAIL_TO": "on-call@example.org, data@example.org",
        "ALERT_EMAIL_FROM": "pipeline@example.org",
    }
    set_up = channels.from_environment(settings)
    store = ledger.FileStore(tmp_path / "alerts.json")

    def settle(*findings: Finding, bad: set[str] = frozenset(), hours: int = 0) -> None:  # type: ignore[assignment]
        now = NOW + timedelta(hours=hours)
        ledger.settle(store, findings, lambda s: s not in bad, lambda message: channels.deliver(message, set_up), now)

    settle(finding("a"), bad={"a"})
    settle(finding("a"), bad={"a"}, hours=1)
    assert len(box.mails) == len(posted) == 1
    mail = box.mails[0]
    assert (mail["From"], mail["To"]) == ("pipeline@example.org", "on-call@example.org, data@example.org")
    body = mail.get_content()
    for part in (
        "XXX has no rate", "7 failing rows in test_failures.gate_x", "o1 | •••", "Since: 2026-07-01 03:00 UTC",
        "Impact: What is built on the failing model is held back", "Log: http://airflow/log",
        "Runbook: runbooks/MissingExchangeRate.md",
    ):  # fmt: skip
        assert part in body
        assert part in json.dumps(posted[0], ensure_ascii=False)

    settle(finding("a", "b"), bad={"a", "b"}, hours=2)
    assert len(box.mails) == 2, "another subject is news"
    settle(finding("a", "b"), bad={"a", "b"}, hours=27)
    assert len(box.mails) == 3, "a reminder after a day"
    settle(bad={"b"}, hours=28)
    assert len(box.mails) == 3, "b was not seen good yet"
    settle(hours=29)
    settle(hours=30)
    assert len(box.mails) == len(posted) == 4
    assert box.mails[-1]["Subject"] == "[recovered] MissingExchangeRate"
    assert "from 2026-07-01 03:00 UTC, 1740 minutes" in box.mails[-1].get_content()


def test_before_a_deployment_each_channel_is_tried_without_a_message(
    mailbox: tuple[Mailbox, int], webhook: tuple[list[dict[str, Any]], str]
) -> None:
    box, port = mailbox
    posted, url = webhook
    mail = {
        "ALERT_SMTP_HOST": "127.0.0.1",
        "ALERT_SMTP_PORT": str(port),
        "ALERT_SMTP_SECURITY": "none",
        "ALERT_SMTP_USER": "pipeline",
        "ALERT_SMTP_PASSWORD": "right",
        "ALERT_EMAIL_TO": "on-call@example.org",
    }
    dead = {"ALERT_SLACK_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/secret-token"}
    for settings, state, told in (
        (mail | {"ALERT_SLACK_WEBHOOK_URL": f"{url}/secret-token"}, "good", "takes mail from on-call@example.org"),
        (mail | {"ALERT_SMTP_PASSWORD": "wrong"}, "missing", "refuses the sign-in: 535"),
        (mail | {"ALERT_EMAIL_TO": "gone@example.org"}, "missing", "refuses the recipient gone@example.org: 550"),
        (mail | {"ALERT_SMTP_SECURITY": "starttls"}, "missing", "(starttls): STARTTLS"),
        (mail | {"ALERT_EMAIL_TO": ""}, "missing", "set ALERT_EMAIL_TO, or neither"),
        (dead, "missing", "webhook at http://127.0.0.1"),
        ({}, "unsure", "alerts go to the log alone"),
    ):
        found = list(preflight.check(settings))
        assert {finding["state"] for finding in found} == {state} and told in found[-1]["what"], found
        assert "secret-token" not in str(found) and "wrong" not in str(found)
    assert box.asked == ["on-call@example.org", "gone@example.org"]
    assert box.mails == [] and posted == []


def test_a_broken_channel_hides_its_secret_keeps_no_other_from_it_and_is_tried_again(
    mailbox: tuple[Mailbox, int],
    webhook: tuple[list[dict[str, Any]], str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    box, port = mailbox
    posted, url = webhook
    mail = channels.Email("127.0.0.1", port, "none", "", "", "a@example.org", ("b@example.org",))
    broken: list[channels.Channel] = [channels.Slack(f"{url}/secret-token/broken"), mail]
    store = ledger.FileStore(tmp_path / "alerts.json")
    for _ in range(2):
        ledger.settle(store, [finding("a")], lambda _: False, lambda m: channels.deliver(m, broken), NOW)
    assert len(box.mails) == len(posted) == 2
    gone = channels.Slack(f"http://127.0.0.1:{free_port()}/secret-token")
    assert not channels.deliver(Message("subject", "body"), [gone])
    errors = [
        record.getMessage() for record in caplog.records if record.levelname == "ERROR" and "marketplace" in record.name
    ]
    assert len(errors) == 3 and "500" in errors[0]
    assert not any("secret-token" in error for error in errors)


def test_slack_gets_the_runbook_even_of_a_long_message(webhook: tuple[list[dict[str, Any]], str]) -> None:
    posted, url = webhook
    assert channels.deliver(Message("s" * 500, "x" * 9000 + "\nRunbook: runbooks/SyncFailed.md"), [channels.Slack(url)])
    text = posted[0]["blocks"][1]["text"]["text"]
    assert len(text) <= 3000 and text.endswith("\nRunbook: runbooks/SyncFailed.md")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"ALERT_SMTP_HOST": "mail"}, "set ALERT_EMAIL_TO"),
        ({"ALERT_EMAIL_TO": "a@example.org"}, "set ALERT_SMTP_HOST"),
        ({"ALERT_SMTP_HOST": "m", "ALERT_EMAIL_TO": "a", "ALERT_SMTP_PORT": "none"}, "ALERT_SMTP_PORT is 'none'"),
        ({"ALERT_SMTP_HOST": "m", "ALERT_EMAIL_TO": "a", "ALERT_SMTP_SECURITY": "ssl"}, "none, starttls, tls"),
        ({"ALERT_SLACK_WEBHOOK_URL": "hooks.slack.com/x"}, "ALERT_SLACK_WEBHOOK_URL"),
    ],
)
def test_half_a_setting_is_refused_by_name(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(channels.AlertSettingsError, match=complaint):
        channels.from_environment(settings)


def test_without_settings_an_alert_goes_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert channels.deliver(Message("[critical] SyncFailed", "Runbook: x"), channels.from_environment({}))
    assert "[critical] SyncFailed\nRunbook: x" in caplog.text


@pytest.mark.parametrize(
    ("subject", "message", "alert"),
    [
        ("wait_for_sync", "Airbyte job 3 failed: source: Nothing listens on h:1", "SourceUnreachable"),
        ("wait_for_sync", "Airbyte job 3 failed: source: Host 'x' cannot be found", "SourceUnreachable"),
        ("wait_for_sync", "Airbyte job 3 failed: source: Replication slot 'm' does not exist.", "ReplicationSlotLost"),
        ("wait_for_sync", "job 3 failed: source: Table users has no readable column 'x'", "SchemaChanged"),
        ("wait_for_sync", "Airbyte job 3 failed: destination: http://b did not answer", "WarehouseUnavailable"),
        ("wait_for_sync", "AirflowTaskTimeout: Timeout, PID: 3", "SyncStuck"),
        ("sync.trigger_sync", "AirbyteUnavailable: Airbyte at http://a did not answer", "SyncFailed"),
        ("wait_for_sync", "Airbyte job 3 cancelled after 0 committed rows", "SyncFailed"),
        ("check_raw", "RawGateError: raw.users holds 3 rows of this job, but exactly 4 are due", "RawCountsDisagree"),
        ("check_raw", "RawGateError: raw.users lost values in 3 rows: x NULLED", "SchemaChanged"),
        ("check_raw", "ServiceUnavailable: 503 POST http://b/queries", "WarehouseUnavailable"),
        ("check_connection", "AirbyteError: Connection m is not as declared in x", "ConnectionDrift"),
        ("check_connection", "AirbyteUnavailable: Airbyte did not answer", "SyncFailed"),
        ("source_freshness", "raw.orders is old", "StaleData"),
        ("replication_slots", "Replication slot airbyte_slot keeps 2,000 MB", "ReplicationSlotLost"),
        ("replication_slots", "OperationalError: connection failed: Connection refused", "SourceUnreachable"),
        ("gate_payments__event_id_unique", "Got 2 results, configured to fail if != 0", "DuplicatePayments"),
        ("gate_seller_tiers__intervals_are_whole", "Got 2 results", "TierOverlap"),
        ("gate_currency__order_items_have_usd", "Got 1 result", "MissingExchangeRate"),
        ("gate_currency__orders_usd_agrees", "Got 1 result", "MartsDoNotReconcile"),
        ("gate_marts__orders_complete", "Got 1 result", "MartsDoNotReconcile"),
        ("unique_fct_orders_order_id", "Got 1 result", "ModelFailed"),
        ("check_params", "InvalidParameters: Both days or none", "TaskFailed"),
        ("publish.dbt_docs", "AirflowFailException: dbt could not document x: Unrecognized name", "TaskFailed"),
        ("fct_orders", "Database Error in model fct_orders\n  Unrecognized name: x at [3:4]", "SchemaChanged"),
        ("fct_orders", "Database Error\n  HTTPConnectionPool: Max retries exceeded", "WarehouseUnavailable"),
        ("fct_orders", "Database Error\n  Quota exceeded: Your project exceeded quota", "WarehouseUnavailable"),
    ],
)  # fmt: skip
def test_each_failure_is_an_alert(subject: str, message: str, alert: str) -> None:
    assert alert_for(subject, message) == alert
    assert alert in ALERTS
