"""One SQL statement on the warehouse or on the source, for people and runbooks."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from local_stack.services import StackError
from local_stack.settings import Settings


def warehouse(settings: Settings, statement: str) -> Iterator[tuple[str, ...]]:
    """Column names, then the rows, as text; nothing for a statement without rows.

    Raises:
        StackError: with the warehouse's refusal, or at once if it does not answer.
    """
    from google.api_core.exceptions import GoogleAPIError

    from local_stack import headlines

    client = headlines.client(settings)
    try:
        # A query would be tried for ten minutes.
        list(client.list_datasets(max_results=1, retry=None, timeout=20))  # type: ignore[arg-type]
    except (GoogleAPIError, OSError) as error:
        raise StackError(f"The warehouse does not answer: {error}. make status shows its address.") from error
    try:
        rows = client.query_and_wait(statement)
        if rows.schema:
            yield tuple(field.name for field in rows.schema)
            yield from (tuple(map(_text, row.values())) for row in rows)
    except GoogleAPIError as error:
        raise StackError(f"The warehouse refused the statement: {error}") from error


def source(settings: Settings, statement: str) -> Iterator[tuple[str, ...]]:
    """The same on the source: as its owner in the demo database, as the reading user in one of your own.

    Raises:
        StackError: with Postgres's refusal.
    """
    where = settings.source
    if settings.source_is_embedded:
        conninfo = settings.source_db_dsn
    else:
        names = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
        conninfo = psycopg.conninfo.make_conninfo(**{key: where[name] for key, name in names.items()})
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]  # a person's statement, as it is
            if cursor.description:
                yield tuple(column.name for column in cursor.description)
                yield from (tuple(map(_text, row)) for row in cursor)
    except psycopg.Error as error:
        raise StackError(f"The source refused the statement: {str(error).strip()}") from error


def _text(value: object) -> str:
    return "NULL" if value is None else str(value)
