"""Payment events as the providers' webhooks told them, replays included."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa

from source_db.catalog import CURRENCY_CODES, PROVIDERS, SMALLEST_UNIT, rounded
from source_db.columns import DAY, HOUR, MINUTE, NEVER, SECOND, Bools, Bytes, Ints, instants, money, pick, tokens, uuids
from source_db.orders import Orders
from source_db.planting import Planter
from source_db.span import Span
from source_db.stages import CANCELLED, PENDING

STATUSES = ("pending", "processing", "completed", "failed", "refunded", "disputed")
_PENDING, _PROCESSING, COMPLETED, _FAILED, REFUNDED, _DISPUTED = range(6)


@dataclass(frozen=True)
class Payments:
    """Rows of ``payments``. ``order`` is a position in their orders, ``event`` a number shared by a webhook event and
    its replays, -1 for no event id. ``arrived`` is when the row reached the source."""

    order: Ints
    event: Ints
    provider: Ints
    amount: Ints
    currency: Ints
    status: Ints
    created: Ints
    processed: Ints
    event_at: Ints
    arrived: Ints

    def __len__(self) -> int:
        return len(self.order)

    def take(self, rows: Ints | Bools) -> Payments:
        return Payments(*(getattr(self, field.name)[rows] for field in fields(self)))

    def with_changes(self, mask: Bools, **values: Ints | int) -> Payments:
        """The same rows with other ``values`` (arrays over all rows, or scalars) where ``mask``."""
        return replace(self, **{name: np.where(mask, value, getattr(self, name)) for name, value in values.items()})


def concatenate(parts: list[Payments]) -> Payments:
    return Payments(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Payments)))


def make_payments(rng: np.random.Generator, planter: Planter, orders: Orders, span: Span) -> Payments:
    """What was paid for ``orders`` until the span's end: attempts that failed, payments in one or two parts, refunds,
    late arrivals and replays. Some orders were not paid at all."""
    stages, count = orders.stages, len(orders.total)
    due = stages.confirmed != NEVER
    unpaid = planter.choose(due, 0.015, what="confirmed order without payment")
    paid = due & ~unpaid
    wait = stages.confirmed - orders.arrived
    paid_at = orders.arrived + np.where(paid, wait * 7 // 10, 0)

    def rows(mask: Bools, status: int, at: Ints, amount: Ints = orders.total) -> Payments:
        order = np.flatnonzero(mask)
        size = len(order)
        return Payments(
            order=order,
            event=np.zeros(size, dtype=np.int64),
            provider=rng.choice(len(PROVIDERS), size, p=[0.55, 0.25, 0.12, 0.08]),
            amount=amount[order],
            currency=orders.currency[order],
            status=np.full(size, status),
            created=at[order],
            processed=at[order] + rng.integers(SECOND // 2, 20 * SECOND, size),
            event_at=at[order] + rng.integers(SECOND, 30 * SECOND, size),
            arrived=at[order],
        )

    split = planter.choose(paid & (orders.total > 2000), 0.04, what="order paid in two parts")
    first_part = np.where(split, rounded(orders.total * 6 // 10, orders.currency), orders.total)
    status = stages.status
    tried = (paid & (rng.random(count) < 0.07)) | ((status == CANCELLED) & ~due & (rng.random(count) < 0.4))
    refunded = paid & ((stages.refunded != NEVER) | (stages.cancelled != NEVER))
    refunded_at = np.where(stages.refunded != NEVER, stages.refunded, stages.cancelled)
    in_place = refunded & ~split & (rng.random(count) < 0.2)
    main = rows(paid, COMPLETED, paid_at, first_part)
    main = main.with_changes(in_place[main.order], status=REFUNDED, processed=refunded_at[main.order])
    recent = (stages.confirmed > span.end - 6 * HOUR)[main.order] & (rng.random(len(main)) < 0.3)
    main = main.with_changes(recent & (main.status == COMPLETED), status=_PROCESSING, processed=NEVER)
    settled = main.status == COMPLETED
    main = main.with_changes(planter.choose(settled, 0.004, what="disputed payment"), status=_DISPUTED)
    roomy = (main.status == COMPLETED) & (main.created < span.end - 3 * DAY)
    late = planter.plant("late_payments", roomy, 0.008)
    delay = DAY + ((np.minimum(span.end - 2 * MINUTE - main.created, 9 * DAY) - DAY) * rng.random(len(main))).astype(
        np.int64
    )
    main = main.with_changes(late, arrived=main.created + delay, processed=main.created + delay)

    parts = [
        main,
        rows(split, COMPLETED, paid_at + MINUTE, orders.total - first_part),
        rows(tried, _FAILED, orders.arrived + (np.where(paid, wait, HOUR) // 3)),
        rows(planter.choose(status == PENDING, 0.6, what="pending payment"), _PENDING, orders.arrived + 5 * SECOND),
        rows(refunded & ~in_place, REFUNDED, refunded_at),
    ]
    parts[3] = parts[3].with_changes(np.ones(len(parts[3]), dtype=bool), processed=NEVER)
    payments = concatenate(parts)
    # What the provider told within the last seconds of the span has not arrived.
    payments = payments.take(np.maximum(payments.event_at, payments.arrived) < span.end)
    payments = payments.with_changes(payments.processed >= span.end, processed=NEVER)
    nameless = planter.plant("payments_without_event_id", np.ones(len(payments), dtype=bool), 0.02)
    payments = replace(payments, event=np.where(nameless, -1, np.arange(len(payments))))
    payments = concatenate([payments, make_replays(rng, planter, payments, count, span.end)])
    planter.found("orders_without_payments", ~np.isin(np.arange(count), payments.order))
    planter.found("payments_pending", payments.status == _PENDING)
    planter.found("payments_failed", payments.status == _FAILED)
    return payments


def make_replays(rng: np.random.Generator, planter: Planter, payments: Payments, orders: int, end: int) -> Payments:
    """The same webhook events told again later than the first time and before ``end``; most tell the same, some differ
    in amount, currency, order or status, some carry the very timestamp of the first.

    ``payments`` holds each event once, for positions of ``orders`` orders.
    """
    free = (payments.event >= 0) & (payments.event_at < end - 10 * MINUTE) & (payments.arrived - payments.created < DAY)
    chosen: dict[str, Bools] = {}
    for kind, rate, eligible in (
        ("amount", 0.003, payments.amount > 0),
        ("currency", 0.001, payments.currency < 2),
        ("order", 0.001, np.full(len(payments), orders > 1)),
        ("refund", 0.05, payments.status == REFUNDED),
        ("status", 0.003, payments.status != REFUNDED),
        ("tied_timestamp", 0.004, np.ones(len(payments), dtype=bool)),
        ("nothing", 0.035, np.ones(len(payments), dtype=bool)),
    ):
        chosen[kind] = planter.choose(free & eligible, rate, what=f"payment replay that differs in {kind}")
        free &= ~chosen[kind]
    planter.found("payment_events_with_conflicting_amount", chosen["amount"])
    planter.found("payment_events_with_conflicting_currency", chosen["currency"])
    planter.found("payment_events_with_conflicting_order", chosen["order"])
    planter.found("payment_events_with_conflicting_status", chosen["status"] | chosen["refund"])
    planter.found("payment_events_completed_after_refund", chosen["refund"])
    planter.found("payment_events_with_tied_timestamp", chosen["tied_timestamp"])

    replayed = np.logical_or.reduce(list(chosen.values()))
    told = payments.take(replayed)
    tied = chosen["tied_timestamp"][replayed]
    unit = SMALLEST_UNIT[told.currency]
    told = told.with_changes(chosen["amount"][replayed], amount=told.amount + unit * rng.integers(1, 500, len(told)))
    told = told.with_changes(chosen["currency"][replayed], currency=1 - told.currency)
    told = told.with_changes(chosen["order"][replayed], order=(told.order + 1) % max(orders, 1))
    told = told.with_changes(chosen["refund"][replayed], status=COMPLETED)
    other = np.where(told.status == COMPLETED, rng.choice([_PROCESSING, _DISPUTED], len(told)), COMPLETED)
    told = told.with_changes(chosen["status"][replayed], status=other)
    told = _later(rng, told, end, tied)
    # A tie is broken by processed_at, where there is one.
    told = told.with_changes(tied & (rng.random(len(told)) < 0.5), processed=NEVER)
    again = rng.random(len(told)) < 0.2
    again &= chosen["nothing"][replayed] & (told.event_at < end - 10 * MINUTE)
    twice = _later(rng, told.take(again), end, np.zeros(again.sum(), dtype=bool))
    replays = concatenate([told, twice])
    planter.counts["payment_replays"] += len(replays)
    planter.found("payments_without_event_id", replays.event < 0)
    return replays


def _later(rng: np.random.Generator, payments: Payments, end: int, tied: Bools) -> Payments:
    """The same events, told again up to three days later; those ``tied`` keep their timestamp."""
    room = np.minimum(end - payments.event_at - 2 * MINUTE, 3 * DAY)
    later = payments.event_at + MINUTE + (room * 0.99 * rng.random(len(payments))).astype(np.int64)
    arrived = later + rng.integers(SECOND, 30 * SECOND, len(payments))
    processed = np.where(payments.processed == NEVER, NEVER, arrived + SECOND)
    return replace(
        payments,
        event_at=np.where(tied, payments.event_at, later),
        created=arrived,
        arrived=arrived,
        processed=processed,
    )


def payments_table(payments: Payments, ids: Bytes, event_ids: Bytes, order_ids: Bytes) -> pa.Table:
    """Rows of ``payments``. ``event_ids`` and ``order_ids`` are found at the positions that ``payments`` holds."""
    nameless = payments.event < 0
    fee = payments.amount * 8 // 100
    no_fee = (payments.status == _PENDING) | (payments.status == _FAILED)
    return pa.table(
        {
            "id": uuids(ids),
            "order_id": uuids(order_ids[payments.order]),
            "payment_provider": pick(PROVIDERS, payments.provider),
            "payment_provider_id": tokens("pi_", event_ids[payments.event], nameless),
            "amount": money(payments.amount),
            "currency": pick(CURRENCY_CODES, payments.currency),
            "platform_fee": money(fee, no_fee),
            "seller_payout": money(payments.amount - fee, no_fee),
            "status": pick(pa.array(STATUSES), payments.status),
            "created_at": instants(payments.created),
            "processed_at": instants(payments.processed),
            "event_id": tokens("evt_", event_ids[payments.event], nameless),
            "event_timestamp": instants(payments.event_at),
        }
    )
