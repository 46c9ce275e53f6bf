"""The ``write`` command: messages in, batches to BigQuery in order, states back to stdout."""

from __future__ import annotations

import ctypes
import io
import os
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

#: Memory fresh from the system costs as much as what is copied into it, so smaller blocks, such as a frame's, are kept
#: by the allocator for the next ones. Larger ones go back.
_LARGE_BLOCK = 8 << 20
#: Parameters of glibc's allocator (https://man7.org/linux/man-pages/man3/mallopt.3.html). Of itself it comes to keep
#: blocks of up to 32 MB, for each thread by itself, and the peak creeps up with the table.
_MALLOPT = {"M_TRIM_THRESHOLD": (-1, 2 * _LARGE_BLOCK), "M_MMAP_THRESHOLD": (-3, _LARGE_BLOCK), "M_ARENA_MAX": (-8, 1)}
#: Sizes of the files that are kept to be written over, and how many are: as many as one stream has use for. A larger
#: one is that of a single row; smaller ones, of many streams, would all grow to the size of the largest.
_KEPT_SIZES, _KEPT_FILES = range(_LARGE_BLOCK, 32 << 20), 2

#: A Parquet file, and a batch with its chunks on their way to such.
_Made = tuple[io.BytesIO, "Bounds"]
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
        #: Files that are loaded, to be written over by the next ones.
        self._files: list[io.BytesIO] = []
        self._batches = 0
        self._committed_at = time.monotonic()

    def write(self, messages: Iterable[Row]) -> None:
        """Everything in ``messages``.

        Raises:
            ConnectorError: as the loaders and the batching do; at the end, transient_error naming the streams that did
                not come to their end. What was committed before stays so.
        """
        _use_memory_again()
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
            # Arrow's own allocator keeps what a batch leaves, or gives it back for the system to clear it again. Which
            # one the Parquet writer takes is decided when Arrow is imported.
            os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
            # Imports of a quarter of a second, while the source makes its first rows.
            from destination_bigquery.loader import StreamLoader
            from destination_bigquery.warehouse import Warehouse

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
        if not all(chunk.closed for chunk in batch.chunks):
            # Rows without a state must not delay what has one.
            self._commit(loaders)
        for chunk in batch.chunks:
            file, bounds = chunks.pop(0).result()
            with file.getbuffer() as buffer, buffer[: file.tell()] as parquet:
                loaders[id(chunk.stream)].load(chunk, parquet, bounds)
            if file.tell() in _KEPT_SIZES and len(self._files) < _KEPT_FILES:
                self._files.append(file)
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
        from destination_bigquery.convert import to_arrow, write_parquet
        from destination_bigquery.loader import key_bounds

        if not chunk.count:
            return io.BytesIO(), {}
        rows = to_arrow(chunk)
        # They are half of what a batch weighs, and it may wait long for its turn.
        chunk.rows.clear()
        file = self._files.pop() if self._files and rows.nbytes >= _KEPT_SIZES.start else io.BytesIO()
        file.seek(0)
        # An endpoint of one's own is near by: compressing takes longer than sending.
        write_parquet(rows, file, compressed=self._config.api_endpoint is None)
        return file, key_bounds(rows, chunk.stream)


def _use_memory_again() -> None:
    """Only glibc has, and needs, the call."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOPT.values():
            mallopt(parameter, value)
