"""The ``write`` command: messages from stdin, batches to BigQuery in order, states back to stdout."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from destination_bigquery.batch import Batch, batches
from destination_bigquery.catalog import Stream
from destination_bigquery.config import Config
from destination_bigquery.errors import ConnectorError
from destination_bigquery.protocol import Output

if TYPE_CHECKING:
    from destination_bigquery.loader import StreamLoader


class Writer:
    """Sorts messages in one thread and commits batches in another, one waiting at most: memory stays constant."""

    def __init__(self, config: Config, streams: list[Stream], output: Output) -> None:
        self._config = config
        self._streams = streams
        self._output = output
        self._queue: queue.Queue[Batch | None] = queue.Queue(maxsize=1)
        self._failure: BaseException | None = None
        self._incomplete = {id(stream): stream for stream in streams}

    def write(self, lines: Iterable[bytes]) -> None:
        """Everything in ``lines``.

        Raises:
            ConnectorError: as the loaders and the batching do; at the end, transient_error naming the streams that did
                not come to their end. What was committed before stays so.
        """
        committer = threading.Thread(target=self._commit_batches, name="committer")
        committer.start()
        try:
            for batch in batches(lines, self._streams):
                self._queue.put(batch)
                if self._failure:
                    break
        finally:
            self._queue.put(None)
            committer.join()
        if self._failure:
            raise self._failure
        if self._incomplete:
            names = ", ".join(map(str, self._incomplete.values()))
            raise ConnectorError(
                f"The source ended before these streams were complete: {names}. Their committed rows are kept; tables "
                "that were to be replaced are as they were.",
                "transient_error",
            )

    def _commit_batches(self) -> None:
        pending = iter(self._queue.get, None)
        try:
            # The client library takes a second to import; meanwhile the records come in.
            from destination_bigquery.loader import StreamLoader
            from destination_bigquery.warehouse import Warehouse

            warehouse = Warehouse(self._config)
            loaders = {id(stream): StreamLoader(warehouse, stream) for stream in self._streams}
            try:
                for batch in pending:
                    self._commit(batch, loaders)
            finally:
                for loader in loaders.values():
                    loader.close()
        except BaseException as error:  # raised again by the thread that waits for this one
            self._failure = error
            # The other thread must not wait for ever to hand over what nobody takes.
            for _ in pending:
                pass

    def _commit(self, batch: Batch, loaders: dict[int, StreamLoader]) -> None:
        for chunk in batch.chunks.values():
            loaders[id(chunk.stream)].load(chunk)
            self._output.log("INFO", f"Stream {chunk.stream}: {len(chunk.lines)} records committed.")
        for stream in batch.completed:
            loaders[id(stream)].complete()
            self._incomplete.pop(id(stream), None)
        for line, records in batch.states:
            self._output.echo_state(line, records)
