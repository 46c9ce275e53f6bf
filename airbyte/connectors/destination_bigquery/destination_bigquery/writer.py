"""The ``write`` command: messages in, batches to BigQuery in order, states back to stdout."""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from destination_bigquery.batch import Batch, Chunk, Row, batches
from destination_bigquery.catalog import Stream
from destination_bigquery.config import Config
from destination_bigquery.errors import ConnectorError
from destination_bigquery.protocol import Output

if TYPE_CHECKING:
    from destination_bigquery.loader import Bounds, StreamLoader

#: Staged rows are committed, and states given back, after this many batches' bytes or this many seconds, and when a
#: stream is complete: a MERGE looks at the keys of the whole table, so one for each batch would be wasteful.
_COMMIT_BATCHES = 8
_COMMIT_SECONDS = 60

#: Larger blocks of memory go back to the system when they are freed. Of itself glibc comes to keep blocks of up to
#: 32 MB in case they are needed again, for each thread by itself: 50 MB more than are in use.
_KEPT_BYTES = 1 << 20
#: https://man7.org/linux/man-pages/man3/mallopt.3.html
_M_MMAP_THRESHOLD = -3

#: A Parquet file, and a batch with its chunks on their way to such.
_Made = tuple[memoryview, "Bounds"]
_Prepared = tuple[Batch, "list[Future[_Made]]"]


class Writer:
    """Three threads: one sorts messages, one makes Parquet of the batches, one loads and commits them. At most a batch
    is at each and one waits, so memory stays constant."""

    def __init__(self, config: Config, streams: list[Stream], output: Output) -> None:
        self._config = config
        self._streams = streams
        self._output = output
        self._queue: queue.Queue[Stream | _Prepared | None] = queue.Queue(maxsize=1)
        self._failure: BaseException | None = None
        self._incomplete = {id(stream): stream for stream in streams}
        self._states: list[tuple[bytes, int]] = []
        self._batches = 0
        self._committed_at = time.monotonic()

    def write(self, messages: Iterable[Row]) -> None:
        """Everything in ``messages``.

        Raises:
            ConnectorError: as the loaders and the batching do; at the end, transient_error naming the streams that did
                not come to their end. What was committed before stays so.
        """
        _give_memory_back()
        committer = threading.Thread(target=self._commit_batches, name="committer")
        committer.start()
        with ThreadPoolExecutor(1, "converter") as converter:
            try:
                for batch in batches(messages, self._streams, self._config.batch_bytes, self._queue.put):
                    self._queue.put((batch, [converter.submit(self._prepare, chunk) for chunk in batch.chunks]))
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
                f"The source ended before these streams were complete: {names}. Their rows up to the last state are "
                "kept; tables that were to be replaced are as they were.",
                "transient_error",
            )

    def _commit_batches(self) -> None:
        pending: Iterator[Stream | _Prepared] = iter(self._queue.get, None)
        try:
            # Imports of a quarter of a second, while the source makes its first rows.
            import pyarrow

            from destination_bigquery.loader import StreamLoader
            from destination_bigquery.warehouse import Warehouse

            # Arrow's own allocator keeps what a batch leaves.
            pyarrow.set_memory_pool(pyarrow.system_memory_pool())
            warehouse = Warehouse(self._config)
            loaders = {id(stream): StreamLoader(warehouse, stream) for stream in self._streams}
            try:
                for item in pending:
                    if isinstance(item, Stream):
                        # While its first batch is gathered: looking at its tables takes as long.
                        loaders[id(item)].open()
                    else:
                        self._load(*item, loaders)
                self._commit(loaders)
            finally:
                for loader in loaders.values():
                    loader.close()
        except BaseException as error:  # raised again by the thread that waits for this one
            self._failure = error
            # The other thread must not wait for ever to hand over what nobody takes.
            for _ in pending:
                pass

    def _load(self, batch: Batch, chunks: list[Future[_Made]], loaders: dict[int, StreamLoader]) -> None:
        if any(chunk.key is None for chunk in batch.chunks):
            # Rows without a state must not delay what has one.
            self._commit(loaders)
        for chunk in batch.chunks:
            # Nobody keeps a file that is loaded: a commit may take long, while further batches come.
            loaders[id(chunk.stream)].load(chunk, *chunks.pop(0).result())
        self._batches += 1
        self._states += batch.states
        overdue = time.monotonic() - self._committed_at >= _COMMIT_SECONDS
        waiting = any(loader.uncommitted for loader in loaders.values())
        if batch.completed or self._batches >= _COMMIT_BATCHES or overdue or not waiting:
            self._commit(loaders)
        for stream in batch.completed:
            loaders[id(stream)].complete()
            self._output.log("INFO", f"Stream {stream} is complete.")
            self._incomplete.pop(id(stream), None)

    def _commit(self, loaders: dict[int, StreamLoader]) -> None:
        for loader in loaders.values():
            loader.commit()
        self._output.echo_states(self._states)
        self._states.clear()
        self._batches = 0
        self._committed_at = time.monotonic()

    def _prepare(self, chunk: Chunk) -> _Made:
        from destination_bigquery.convert import to_arrow, to_parquet
        from destination_bigquery.loader import key_bounds

        if not chunk.count:
            return memoryview(b""), {}
        rows = to_arrow(chunk)
        # They are half of what a batch weighs, and it may wait long for its turn.
        chunk.rows.clear()
        # An endpoint of one's own is near by: compressing takes longer than sending.
        parquet = to_parquet(rows, compressed=self._config.api_endpoint is None)
        return parquet, key_bounds(rows, chunk.stream)


def _give_memory_back() -> None:
    """Only glibc has, and needs, the call."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
