"""Versioned changes of the metadata database, applied in order at start; see :func:`migrate`."""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import Engine, text


def migrate(engine: Engine) -> None:
    """Apply the ``NNNN_name.sql`` files of this package not applied yet, in one transaction.

    Raises :class:`RuntimeError` when the database was migrated by a newer server.
    """
    scripts = sorted((f for f in files(__name__).iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE IF NOT EXISTS schema_migrations "
                "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
            )
        )
        known = set(connection.scalars(text("SELECT name FROM schema_migrations")))
        unknown = known - {script.name for script in scripts}
        if unknown:
            raise RuntimeError(
                f"the metadata database has migrations this server does not know ({', '.join(sorted(unknown))}): "
                "start a newer airbyte-server, or give another --database-url"
            )
        for script in scripts:
            if script.name not in known:
                connection.exec_driver_sql(script.read_text())
                connection.execute(text("INSERT INTO schema_migrations (name) VALUES (:name)"), {"name": script.name})
