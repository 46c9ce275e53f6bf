"""What a deduplicating destination holds after syncs by change data capture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CDC = {"sync_mode": "incremental", "destination_sync_mode": "append_dedup", "cursor_field": ["_ab_cdc_lsn"]}


class Replica:
    """Syncs a database's tables, each from the last state, and keeps what a deduplicating destination would hold."""

    def __init__(self, source: Any, configured: Callable[..., Any]) -> None:
        self.source = source
        self.configured = configured
        self.state: list[Any] = []
        self.rows: dict[str, dict[Any, dict[str, Any]]] = {}

    def catalog(self, *names: str) -> dict[str, Any]:
        catalog = self.configured(**dict.fromkeys(names, CDC))
        for stream in catalog["streams"]:
            stream.update(CDC)
        return catalog

    def sync(self, *names: str, status: int = 0) -> Any:
        run = self.source("read", catalog=self.catalog(*names), state=self.state)
        assert run.status == status, run.errors
        self.apply(run.messages)
        return run

    def apply(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if message["type"] == "STATE":
                self.state = [message["state"]]
            if message["type"] == "RECORD":
                self.put(message["record"])

    def put(self, record: dict[str, Any]) -> None:
        data = record["data"]
        rows = self.rows.setdefault(record["stream"], {})
        if data["id"] not in rows or rows[data["id"]]["_ab_cdc_lsn"] <= data["_ab_cdc_lsn"]:
            rows[data["id"]] = data

    def table(self, stream: str) -> list[dict[str, Any]]:
        """The rows that have not been deleted, by id, without the fields of CDC."""
        alive = [row for row in self.rows.get(stream, {}).values() if row["_ab_cdc_deleted_at"] is None]
        rows = [{key: value for key, value in row.items() if not key.startswith("_ab_cdc")} for row in alive]
        return sorted(rows, key=lambda row: row["id"])
