"""Roles and databases of the platform in a Postgres server: the metadata of Airbyte and Airflow, the demo source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import conninfo, sql

METADATA_DATABASES = ("airflow", "airbyte")


@dataclass(frozen=True)
class DemoSource:
    """Who may do what in the demo database: ``owner_dsn`` is the application's access, the reader replicates."""

    owner_dsn: str
    database: str
    reader: str
    reader_password: str


def prepare(superuser: str, metadata_passwords: Mapping[str, str], demo: DemoSource | None, keep: str = "") -> None:
    """Create what is missing and reset the passwords; repeatable.

    Args:
        superuser: conninfo or address of a role that may create roles and databases.
        metadata_passwords: password of each metadata database's role, by database.
        demo: the demo source, unless the source is a given one.
        keep: a role whose password must stay, the superuser's own.
    """
    for database in METADATA_DATABASES:
        role = f"{database}_metadata"
        ensure_role(superuser, role, metadata_passwords[database])
        ensure_database(superuser, database, role)
    if demo is None:
        return
    owner = conninfo.conninfo_to_dict(demo.owner_dsn)
    ensure_role(superuser, str(owner["user"]), str(owner["password"]), replication=True)
    if demo.reader not in (owner["user"], keep):
        ensure_role(superuser, demo.reader, demo.reader_password, replication=True)
    ensure_database(superuser, demo.database, str(owner["user"]))


def from_environment(environment: Mapping[str, str]) -> None:
    """:func:`prepare` with what the containers' environment says.

    Raises:
        KeyError: for a variable that is missing.
        psycopg.Error: if the server cannot be used.
    """
    superuser = environment["POSTGRES_SUPERUSER_DSN"]
    prepare(
        superuser,
        {database: environment[f"{database.upper()}_DATABASE_PASSWORD"] for database in METADATA_DATABASES},
        DemoSource(
            environment["SOURCE_DB_DSN"],
            environment["SOURCE_POSTGRES_DATABASE"],
            environment["SOURCE_POSTGRES_USER"],
            environment["SOURCE_POSTGRES_PASSWORD"],
        ),
        keep=str(conninfo.conninfo_to_dict(superuser)["user"]),
    )


def ensure_role(superuser: str, name: str, password: str, *, replication: bool = False) -> None:
    """Create the login role ``name``, or reset its password if it exists."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
        verb = sql.SQL("ALTER" if exists else "CREATE")
        option = sql.SQL("REPLICATION" if replication else "NOREPLICATION")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(verb, sql.Identifier(name), option, sql.Literal(password))
        )


def ensure_database(superuser: str, name: str, owner: str) -> None:
    """Create the database ``name`` owned by ``owner`` unless it exists."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
                    sql.Identifier(name), sql.Identifier(owner)
                )
            )
