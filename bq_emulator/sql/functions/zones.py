"""Between instants (TIMESTAMP, DuckDB TIMESTAMPTZ) and the wall clocks (DuckDB TIMESTAMP) of a zone."""

from __future__ import annotations


def local(instant: str, zone: str) -> str:
    """The wall clock of ``zone`` (DuckDB text) at an instant."""
    return f"make_timestamp(epoch_us({instant}))" if zone == "'UTC'" else f"bq_local({instant}, {zone})"


def instant(clock: str, zone: str) -> str:
    """The instant at which the clock of ``zone`` (DuckDB text) shows ``clock``."""
    return f"make_timestamptz(epoch_us({clock}))" if zone == "'UTC'" else f"bq_instant({clock}, {zone})"
