"""Syncs the marketplace database into a raw dataset: both connectors, joined as the platform joins them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connector_command import run_connector
from octavia import overlay, yamlfile
from real_services import PROJECT, ROOT, Database

from source_db.cdc import PUBLICATION, SLOT

_CONNECTION = ROOT / "airbyte" / "connections" / "marketplace_postgres_to_bigquery" / "configuration.yaml"


class Replication:
    """The declared connection between ``database`` and the dataset ``raw`` of the emulator at ``endpoint``; keeps its
    state from sync to sync, and its files in ``folder``. With ``cdc``, as the overlay of that name declares it."""

    def __init__(self, database: Database, endpoint: str, raw: str, folder: Path, *, cdc: bool = False) -> None:
        self._folder = folder
        declared = yamlfile.read(_CONNECTION, {})
        if cdc:
            declared = overlay.merge(declared, yamlfile.read(overlay.file_of(_CONNECTION, "cdc"), {}))
        self._declared: list[dict[str, Any]] = declared.value["configuration"]["sync_catalog"]["streams"]
        self._state: list[Any] = []
        self._syncs = 0
        self._source = database.source_configuration
        self._destination = {
            "project_id": PROJECT,
            "dataset_id": raw,
            "dataset_location": "US",
            "raw_data_dataset": raw,
            "loading_method": {"method": "Standard"},
            "api_endpoint": endpoint,
        }
        if cdc:
            method = {"method": "CDC", "replication_slot": SLOT, "publication": PUBLICATION}
            self._source = {**self._source, "replication_method": method}
            self._destination["cdc_deletion_mode"] = "Soft delete"

    def sync(self) -> None:
        """Bring raw up to date with the database as it is now, columns added to it included."""
        self._syncs += 1
        streams = self._streams()
        read = self._arguments("source-postgres", "read", self._source, streams, self._state or None)
        for stream in streams:
            # The namespace is the destination's, so the platform takes the source's off.
            stream["stream"]["namespace"] = None
        write = self._arguments("destination-bigquery", "write", self._destination, streams)
        states = [message["state"] for message in _messages(self.join(read, write)) if message["type"] == "STATE"]
        if states[-1]["type"] == "GLOBAL":
            self._state = states[-1:]
            return
        latest = {state["stream"]["stream_descriptor"]["name"]: state for state in self._state + states}
        # The state of a full refresh is for its own retries; the next sync reads all anew.
        incremental = {s["stream"]["name"] for s in streams if s["sync_mode"] == "incremental"}
        self._state = [state for name, state in latest.items() if name in incremental]

    def join(self, read: list[str], write: list[str]) -> bytes:
        """Run the source into the destination, with these arguments; the lines of the source, states among them."""
        lines = _run("source-postgres", read)
        _run("destination-bigquery", write, lines.replace(b'"namespace":"public"', b'"namespace":null'))
        return lines

    def _streams(self) -> list[dict[str, Any]]:
        catalogs = _messages(_run("source-postgres", self._arguments("source-postgres", "discover", self._source)))
        discovered = {
            stream["name"]: stream
            for message in catalogs
            if message["type"] == "CATALOG"
            for stream in message["catalog"]["streams"]
        }
        return [
            {
                "cursor_field": [],
                "primary_key": discovered[stream["stream"]["name"]]["source_defined_primary_key"],
                **stream["config"],
                "stream": discovered[stream["stream"]["name"]],
                "sync_id": self._syncs,
                "generation_id": self._syncs,
                "minimum_generation_id": self._syncs if stream["config"]["sync_mode"] == "full_refresh" else 0,
            }
            for stream in self._declared
        ]

    def _arguments(
        self,
        program: str,
        command: str,
        config: dict[str, Any],
        streams: list[dict[str, Any]] | None = None,
        state: list[Any] | None = None,
    ) -> list[str]:
        """The command and its options, their files written."""
        arguments = [command]
        for name, content in {"config": config, "catalog": streams and {"streams": streams}, "state": state}.items():
            if content is not None:
                path = self._folder / f"{program}-{name}.json"
                path.write_text(json.dumps(content))
                arguments += [f"--{name}", str(path)]
        return arguments


def _run(program: str, arguments: list[str], stdin: bytes = b"") -> bytes:
    output, status = run_connector(program, arguments, stdin)
    assert status == 0, output[-4000:]
    return output


def _messages(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines() if line.startswith(b"{")]
