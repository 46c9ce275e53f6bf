"""The read command: every configured stream, each failing by itself."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from source_postgres import catalog
from source_postgres.catalog import Table
from source_postgres.channel import Channel, open_channel
from source_postgres.checkpoints import Checkpoints
from source_postgres.config import Config
from source_postgres.connection import connect, explained
from source_postgres.errors import ConnectorError
from source_postgres.pipeline import Pipeline
from source_postgres.protocol import Output
from source_postgres.reader import StreamReader
from source_postgres.rows import Session
from source_postgres.state import SavedStates, StreamState, parse_states
from source_postgres.stream import ConfiguredStream


def read(config: Config, configured: dict[str, Any], raw_state: Any, output: Output) -> bool:
    """Read every stream of the configured catalog; whether all were read to their end.

    Raises:
        ConnectorError: for what concerns no stream alone: the connection, the data channel, the states.
    """
    channel = open_channel(output)
    pipeline = Pipeline()
    try:
        streams = [ConfiguredStream.parse(stream) for stream in configured.get("streams", [])]
        states = parse_states(raw_state)
        output.log("INFO", f"Reading {len(streams)} streams from {config.host}:{config.port}/{config.database}.")
        with contextlib.closing(Sync(config, output, channel, pipeline)) as sync:
            if config.cdc is None or not any(stream.incremental for stream in streams):
                return sync.read(streams, states)
            # numpy and the replication protocol are of use to nobody else.
            from source_postgres import cdc

            return cdc.read(sync, config.cdc, streams, states)
    finally:
        pipeline.close()
        channel.close()


class Sync:
    """One run over the streams of a database, on one connection that is opened again where a stream has broken it."""

    def __init__(self, config: Config, output: Output, channel: Channel, pipeline: Pipeline) -> None:
        self.config = config
        self.output = output
        self._channel = channel
        self._pipeline = pipeline
        self._connection = connect(config)
        self.tables = {(table.namespace, table.name): table for table in catalog.tables(self._connection, config)}

    def close(self) -> None:
        self._connection.close()

    @property
    def session(self) -> Session:
        if self._connection.closed:
            self._connection = connect(self.config)
        return Session(self._connection, self.output, self._channel, self._pipeline)

    def read(self, streams: list[ConfiguredStream], states: SavedStates) -> bool:
        results = [self.read_stream(stream, states.streams.get(stream.key)) for stream in streams]
        return all(results)

    def read_stream(
        self, stream: ConfiguredStream, saved: StreamState | None, checkpoints: Checkpoints | None = None
    ) -> bool:
        """Read one stream to its end, unless it fails: then say why, in messages of the protocol."""
        checkpoints = checkpoints or Checkpoints(self.output, self.config.checkpoint_seconds)

        def read() -> None:
            reader = StreamReader(self.session, stream, self.table(stream), self.config.replication, checkpoints)
            reader.read(saved)

        return self.attempt(stream, read)

    def attempt(self, stream: ConfiguredStream, read: Any, *, ends: bool = True) -> bool:
        """Do ``read`` between the stream's STARTED and COMPLETE (left out with ``ends`` False) or INCOMPLETE."""
        self.output.status(stream.name, stream.namespace, "STARTED")
        try:
            read()
            self._pipeline.drain()
        except (ConnectorError, psycopg.Error) as error:
            self._pipeline.drain()
            self.failed(stream, error)
            return False
        if ends:
            self.output.status(stream.name, stream.namespace, "COMPLETE")
        return True

    def failed(self, stream: ConfiguredStream, error: ConnectorError | psycopg.Error) -> None:
        failure = error if isinstance(error, ConnectorError) else explained(error, f"Reading stream {stream}")
        self.output.error(failure, stream.key)
        self.output.status(stream.name, stream.namespace, "INCOMPLETE")

    def table(self, stream: ConfiguredStream) -> Table:
        """The stream's table.

        Raises:
            ConnectorError: config_error where there is none that may be read.
        """
        table = self.tables.get((stream.namespace or "public", stream.name))
        if table is None:
            config = self.config
            raise ConnectorError(
                f"Table {stream} does not exist in database {config.database!r}, is outside the configured schemas, or "
                f"user {config.username!r} may not read it; refresh the connection's schema or restore the table."
            )
        return table
