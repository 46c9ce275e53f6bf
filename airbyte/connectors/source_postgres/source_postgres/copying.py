"""COPY … TO STDOUT by blocks of rows.

psycopg hands out the rows of a COPY one by one through generators, which takes longer than Postgres takes to write
them. libpq's own calls, which psycopg offers too, take a third of that.
"""

from __future__ import annotations

import select
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus


def blocks(connection: psycopg.Connection[Any], statement: str, size: int) -> Generator[bytearray, None, None]:
    """The output in blocks of whole rows, each of ``size`` bytes or little more; a row may be larger by itself.

    The connection is closed if the blocks are not taken to their end.

    Raises:
        psycopg.Error: as for any statement.
    """
    ended = False
    try:
        _start(connection, statement)
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
        _finish(connection)
        ended = True
    except psycopg.Error:
        ended = True
        raise
    finally:
        if not ended:
            connection.close()


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
