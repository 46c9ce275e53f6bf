"""Reading the log: the messages of a replication slot, by the streaming replication protocol.

https://www.postgresql.org/docs/current/protocol-replication.html
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Iterator

import psycopg
from psycopg import pq

from source_postgres import query
from source_postgres.config import Cdc, Config
from source_postgres.connection import connect_replication
from source_postgres.errors import ConnectorError

#: The first byte of a message: one of the output plugin's, or a sign of life.
_DATA, _KEEPALIVE = b"w"[0], b"k"[0]
#: Bytes of a data message before the plugin's own: its kind, two positions and a time.
DATA_HEADER = 25
#: After so long without a message the server is asked for a sign of life, and the reader told of the quiet.
_QUIET_SECONDS = 0.25

_POSITION = struct.Struct("!Q")
_STATUS = struct.Struct("!cQQQqB")


class LogReader:
    """The changes of a slot from ``start`` on, as the plugin's messages; ends with :meth:`close`.

    The slot keeps everything past the position that was last confirmed; ``start`` is confirmed at once.
    """

    def __init__(self, config: Config, cdc: Cdc, start: int) -> None:
        self._cdc = cdc
        self._confirmed = start
        #: Everything that was committed before this position has been received.
        self.position = start
        #: Whether nothing has come for a while.
        self.quiet = False
        self._session = connect_replication(config)
        self._connection = self._session.pgconn
        try:
            self._start(start)
        except BaseException:
            self.close()
            raise

    def _start(self, start: int) -> None:
        cdc = self._cdc
        publication = query.literal_text(query.identifier(cdc.publication))
        self._connection.send_query(
            f"START_REPLICATION SLOT {query.identifier(cdc.slot)} LOGICAL {lsn_text(start)} "
            f"(proto_version '1', publication_names {publication})".encode()
        )
        until = time.monotonic() + self._cdc.waiting_seconds
        while self._connection.is_busy() and time.monotonic() < until:
            self._receive()
        result = None if self._connection.is_busy() else self._connection.get_result()
        if result is None or result.status != pq.ExecStatus.COPY_BOTH:
            raise _failed(cdc, self._connection.get_error_message() or "nothing")

    @property
    def backend_pid(self) -> int:
        return self._connection.backend_pid

    def messages(self) -> Iterator[memoryview | None]:
        """Data messages as they come; None whenever :attr:`position` may have moved or :attr:`quiet` is true.

        Raises:
            ConnectorError: transient_error where the server ends the stream or gives no sign of life for
                ``initial_waiting_seconds``.
        """
        connection = self._connection
        self._tell()
        heard = time.monotonic()
        while True:
            try:
                size, message = connection.get_copy_data(1)
                if size == 0:
                    if self._receive():
                        continue
                    self._waited(heard)
                    self._tell()
                    self.quiet = True
                    yield None
                    continue
            except psycopg.OperationalError as error:
                raise _failed(self._cdc, str(error)) from error
            if size < 0:
                connection.get_result()
                raise _failed(self._cdc, connection.get_error_message() or "the server ended the stream")
            heard, self.quiet = time.monotonic(), False
            if message[0] == _DATA:
                yield message
            elif message[0] == _KEEPALIVE:
                self.position = max(self.position, _POSITION.unpack_from(message, 1)[0])
                if message[17]:
                    self._tell()
                yield None

    def confirm(self, position: int) -> None:
        """Let the server forget what was committed before ``position``."""
        self._confirmed = max(self._confirmed, position)
        self._tell()

    def close(self) -> None:
        self._session.close()

    def _receive(self) -> bool:
        """Wait for something to come, for a while; whether it has."""
        ready = select.select([self._connection.socket], [], [], _QUIET_SECONDS)[0]
        # In any case: TLS may have taken from the socket what it has not given out yet.
        self._connection.consume_input()
        return bool(ready)

    def _tell(self) -> None:
        """Say what is confirmed, and ask how far the server is."""
        position = self._confirmed
        self._connection.put_copy_data(_STATUS.pack(b"r", position, position, position, 0, 1))
        self._connection.flush()

    def _waited(self, heard: float) -> None:
        if time.monotonic() - heard > self._cdc.waiting_seconds:
            raise ConnectorError(
                f"Postgres gave no sign of life for {self._cdc.waiting_seconds} s while reading replication slot "
                f"{self._cdc.slot!r}; raise initial_waiting_seconds if a very large transaction is being decoded.",
                "transient_error",
            )


def lsn_text(position: int) -> str:
    """A position in the log as Postgres writes it, for example 16/B374D848."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def _failed(cdc: Cdc, said: str) -> ConnectorError:
    said = " ".join(said.split())
    slot = cdc.slot
    if "is active for PID" in said:
        message = f"Replication slot {slot!r} is in use by another connection; give each connection a slot of its own."
        return ConnectorError(f"{message} Postgres said: {said}", "transient_error")
    if "publication" in said and "does not exist" in said:
        return ConnectorError(
            f"Replication slot {slot!r} holds changes from before publication {cdc.publication!r} was created. "
            f"Create the slot again, after the publication: SELECT pg_drop_replication_slot('{slot}'); "
            f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput'); then refresh the connection's data. "
            f"Postgres said: {said}"
        )
    return ConnectorError(f"Reading replication slot {slot!r} failed. Postgres said: {said}", "transient_error")
