"""The embedded Postgres: initialised once, reached over TCP with a password, moved and stopped."""

import os
import shutil
from pathlib import Path

import psycopg
import pytest
from real_services import free_port

from local_stack import postgres
from local_stack.postgres import EmbeddedPostgres, PostgresError


@pytest.fixture
def server(service_dir: Path, request: pytest.FixtureRequest):
    embedded = EmbeddedPostgres(
        service_dir / request.node.name[:20] / "data", free_port(), "s3cret", settings={"fsync": "off"}
    )
    yield embedded
    embedded.stop()


def test_it_starts_twice_keeps_its_data_and_moves_to_another_port(server: EmbeddedPostgres) -> None:
    server.start()
    server.ensure_role("app", "pw")
    server.ensure_database("shop", "app")
    server.start()
    moved = EmbeddedPostgres(server.data_dir, free_port(), "s3cret")
    moved.start()
    with psycopg.connect(moved.conninfo("shop", "app", "pw")) as connection:
        assert connection.execute("SELECT current_setting('wal_level')").fetchone() == ("logical",)
    moved.stop()
    assert moved.pid() is None


def test_a_wrong_password_is_refused(server: EmbeddedPostgres) -> None:
    server.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.conninfo(password="wrong"))


def test_a_taken_port_is_an_error_and_starts_nothing(server: EmbeddedPostgres, service_dir: Path) -> None:
    server.start()
    second = EmbeddedPostgres(service_dir / "second" / "data", server.port, "s3cret")
    with pytest.raises(PostgresError, match=f"Port {server.port}"):
        second.start()
    assert not second.data_dir.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")
def test_root_may_keep_the_project_where_no_other_user_gets_in(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_reachable", lambda path, user: False)
    server.start()
    try:
        with psycopg.connect(server.conninfo()) as connection:
            (folder,) = connection.execute("SELECT current_setting('data_directory')").fetchone()  # type: ignore[misc]
        assert server.data_dir.is_symlink() and str(server.data_dir.resolve()) == folder
        assert server.data_dir.resolve().parent.parent == Path("/var/tmp")
    finally:
        server.stop()
        shutil.rmtree(server.data_dir.resolve().parent)
        server.data_dir.unlink()
