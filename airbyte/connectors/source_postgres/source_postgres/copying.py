"""COPY … TO STDOUT by blocks of rows.

psycopg hands out the rows of a COPY one by one through generators, which takes longer than Postgres takes to write
them. libpq's own calls, which psycopg offers too, take half of that, and a fifth where no Python stands in between.
"""

from __future__ import annotations

import ctypes
import select
import sys
from collections.abc import Generator
from typing import Any

import numpy as np
import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from source_postgres import native

#: Whole rows, as the server sent them.
Block = bytes | bytearray | memoryview

_FULL, _FAILED = 1, -2
#: Milliseconds for which the library waits before Python may look at its signals.
_PATIENCE = 200


def blocks(connection: psycopg.Connection[Any], statement: str, size: int) -> Generator[Block, None, None]:
    """The output in blocks of whole rows, each of about ``size`` bytes; a row may be larger by itself.

    The connection is closed if the blocks are not taken to their end.

    Raises:
        psycopg.Error: as for any statement.
    """
    ended = False
    try:
        _start(connection, statement)
        library, libpq = native.library(), _libpq()
        if library is None or libpq is None:
            yield from _by_rows(connection, size)
        else:
            yield from _by_blocks(library, libpq, connection, size)
        _finish(connection)
        ended = True
    except psycopg.Error:
        ended = True
        raise
    finally:
        if not ended:
            connection.close()


def _by_rows(connection: psycopg.Connection[Any], size: int) -> Generator[Block, None, None]:
    receive = connection.pgconn.get_copy_data
    block = bytearray()
    # Not libpq's waiting call, which would hold up all other threads.
    while (length_and_row := receive(1))[0] >= 0:
        if length_and_row[0] == 0:
            _wait(connection)
            continue
        block += length_and_row[1]
        if len(block) >= size:
            yield block
            block = bytearray()
    if block:
        yield block


class _Libpq(ctypes.Structure):
    """``struct libpq`` of copy_binary.c."""

    _fields_ = [
        ("connection", ctypes.c_void_p),
        ("get_copy_data", ctypes.c_void_p),
        ("consume_input", ctypes.c_void_p),
        ("free_row", ctypes.c_void_p),
        ("poll", ctypes.c_void_p),
        ("socket", ctypes.c_int32),
        ("timeout", ctypes.c_int32),
        ("row", ctypes.c_void_p),
        ("row_size", ctypes.c_int64),
    ]


def _libpq() -> ctypes.CDLL | None:
    """The libpq that psycopg uses, bundled or the system's; None where psycopg is without its C part."""
    try:
        # The module that it has loaded leads to what that is linked with.
        return ctypes.CDLL(sys.modules[pq.PGconn.__module__].__file__)
    except OSError:
        return None


def _by_blocks(
    library: ctypes.CDLL, libpq: ctypes.CDLL, connection: psycopg.Connection[Any], size: int
) -> Generator[Block, None, None]:
    names = ("PQgetCopyData", "PQconsumeInput", "PQfreemem")
    functions = [ctypes.cast(getattr(libpq, name), ctypes.c_void_p) for name in names]
    poll = ctypes.cast(ctypes.CDLL(None).poll, ctypes.c_void_p)
    pgconn: Any = connection.pgconn
    state = _Libpq(pgconn.pgconn_ptr, *functions, poll, pgconn.socket, _PATIENCE)
    used = ctypes.c_int64()
    status = _FULL
    try:
        while status >= 0:
            block = np.empty(max(size, state.row_size if state.row else 0), np.uint8)
            used.value = 0
            while (
                status := library.receive(
                    ctypes.byref(state),
                    ctypes.c_void_p(block.ctypes.data),
                    ctypes.c_int64(len(block)),
                    ctypes.byref(used),
                )
            ) == 0:
                pass
            if status == _FAILED:
                raise psycopg.OperationalError(pgconn.get_error_message())
            if used.value:
                yield block[: used.value].data
    finally:
        if state.row:
            libpq.PQfreemem(ctypes.c_void_p(state.row))


def _start(connection: psycopg.Connection[Any], statement: str) -> None:
    pgconn = connection.pgconn
    pgconn.send_query(statement.encode())
    while pgconn.flush():
        select.select([], [pgconn.socket], [])
    while pgconn.is_busy():
        _wait(connection)
    result = pgconn.get_result()
    if result is not None and result.status != ExecStatus.COPY_OUT:
        _finish(connection)
        raise error_from_result(result, encoding=connection.info.encoding)


def _wait(connection: psycopg.Connection[Any]) -> None:
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    poll.poll()
    connection.pgconn.consume_input()


def _finish(connection: psycopg.Connection[Any]) -> None:
    """Take the results that end the statement, and raise if one is an error."""
    pgconn = connection.pgconn
    failure = None
    while True:
        while pgconn.is_busy():
            _wait(connection)
        result = pgconn.get_result()
        if result is None:
            break
        if result.status == ExecStatus.FATAL_ERROR:
            failure = failure or error_from_result(result, encoding=connection.info.encoding)
    if failure is not None:
        raise failure
