"""The event log: rows in the order in which they were received, which is not always the order of what happened."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from source_db.catalog import CURRENCY_CODES
from source_db.columns import (
    DAY,
    HOUR,
    MINUTE,
    NEVER,
    SECOND,
    Bools,
    Bytes,
    Ints,
    flags,
    instants,
    integers,
    join,
    money,
    pick,
    uuids,
)
from source_db.orders import Orders
from source_db.payments import STATUSES as PAYMENT_STATUSES
from source_db.payments import Payments
from source_db.planting import Planter
from source_db.span import Span

_ORDER_EVENTS = ("order.created", "order.shipped", "order.delivered", "order.cancelled", "order.refunded")


def events(
    event_type: pa.Array | str,
    entity_type: str,
    entity_ids: Bytes,
    data: pa.Array | str,
    event_at: Ints,
    received: Ints,
) -> pa.Table:
    """Events that wait for their place in the log: rows of ``event_log`` without ``id`` and ``processed``, instants as
    int64."""
    count = len(entity_ids)

    def column(value: pa.Array | str) -> pa.Array:
        return pa.repeat(pa.scalar(value), count) if isinstance(value, str) else value

    return pa.table(
        {
            "event_type": column(event_type),
            "entity_type": column(entity_type),
            "entity_id": uuids(entity_ids),
            "event_data": column(data),
            "event_timestamp": pa.array(event_at),
            "received_at": pa.array(received),
        }
    )


class EventLog:
    """Puts events into the order of their arrival, a stretch at a time, so that memory holds only what is to come."""

    def __init__(self, first_id: int = 1) -> None:
        self._next_id = first_id
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)

    def drain(self, before: int) -> pa.Table:
        """Rows of ``event_log`` for all events received before ``before``; no earlier one may be added later."""
        waiting = pa.concat_tables(self._waiting).combine_chunks()
        received = waiting["received_at"].to_numpy()
        ready = np.flatnonzero(received < before)
        self._waiting = [waiting.take(np.flatnonzero(received >= before))]
        rows = waiting.take(ready[np.argsort(received[ready], kind="stable")])
        ids = np.arange(self._next_id, self._next_id + len(ready))
        self._next_id += len(ready)
        return pa.table(
            {
                "id": integers(ids),
                **{name: rows[name] for name in ("event_type", "entity_type", "entity_id", "event_data")},
                "event_timestamp": instants(rows["event_timestamp"].to_numpy()),
                "received_at": instants(rows["received_at"].to_numpy()),
                "processed": flags(ids % 40 != 0),
            }
        )


def order_events(rng: np.random.Generator, planter: Planter, orders: Orders, span: Span) -> list[pa.Table]:
    """What happened to ``orders`` until the span's end. Some hear of the shipping after the delivery."""
    stages = orders.stages
    count = len(orders.created)
    data = join(
        '{"order_number": "',
        orders.numbers,
        '", "total": {"amount": "',
        money(orders.total).cast(pa.string()),
        '", "currency": "',
        pick(CURRENCY_CODES, orders.currency),
        '"}, "steps": [["cart", 1], ["checkout", [2, 3]]]}',
    )
    delays = rng.integers(SECOND // 10, 30 * SECOND, (len(_ORDER_EVENTS), count))
    happened = [orders.created, stages.shipped, stages.delivered, stages.cancelled, stages.refunded]
    received = [
        np.where(at == NEVER, NEVER, np.where(at == NEVER, 0, at) + delay)
        for at, delay in zip(happened, delays, strict=True)
    ]
    received[0] = np.where(orders.arrived != orders.created, orders.arrived, received[0])
    overtaken = planter.plant("events_out_of_order", received[2] < span.end - 20 * HOUR, 0.05)
    received[1] = np.where(overtaken, received[2] + rng.integers(MINUTE, 18 * HOUR, count), received[1])
    tables = []
    for event_type, at, heard in zip(_ORDER_EVENTS, happened, received, strict=True):
        rows: Bools = heard < span.end
        tables.append(events(event_type, "order", orders.ids[rows], data.filter(pa.array(rows)), at[rows], heard[rows]))
    return tables


def payment_events(payments: Payments, ids: Bytes) -> pa.Table:
    """What is worth an event: payments that came late, failed or were paid back."""
    status = np.array(PAYMENT_STATUSES)[payments.status]
    late = payments.arrived - payments.created >= DAY
    rows = late | np.isin(status, ["failed", "refunded"])
    amount = money(payments.amount[rows]).cast(pa.string())
    return events(
        join("payment.", pa.array(status[rows])),
        "payment",
        ids[rows],
        join('{"amount": "', amount, '", "currency": "', pick(CURRENCY_CODES, payments.currency[rows]), '"}'),
        payments.created[rows],
        payments.arrived[rows],
    )
