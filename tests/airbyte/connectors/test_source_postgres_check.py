"""check and the failures that people meet first."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from source_postgres import config
from source_postgres.refusals import refused


def test_check_succeeds_where_a_table_can_be_read(source: Any, execute: Any) -> None:
    execute("CREATE TABLE t (id int)")
    assert source.check() == {"status": "SUCCEEDED"}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"host": "no-such-host.invalid"}, "Host 'no-such-host.invalid' cannot be found"),
        ({"port": 1}, "Nothing listens on 127.0.0.1:1 "),
        ({"password": "wr0ng-one"}, "wrong or missing password"),
        ({"username": "nobody-here"}, "refused user 'nobody-here'"),
        ({"database": "no_such_db"}, "Database 'no_such_db' does not exist"),
        ({"ssl_mode": {"mode": "require"}}, "the server has none. Set ssl = on"),
        ({"schemas": ["public", "no_such_schema"]}, "Schema 'no_such_schema' does not exist"),
        ({"schemas": []}, "There is no table in database"),
        ({"replication_method": {"method": "Cursor"}}, "replication_method.method is 'Cursor'"),
        ({"replication_method": {"method": "CDC"}}, "replication_method.replication_slot is missing"),
        ({"jdbc_url_params": "loglevel=2&ApplicationName=x"}, "jdbc_url_params holds loglevel"),
        ({"jdbc_url_params": "targetServerType=best"}, "targetServerType=best; it must be one of any, primary"),
        ({"jdbc_url_params": "connectTimeout=long"}, "bad value for connect_timeout: 'long'"),
        ({"jdbc_url_params": 5}, "jdbc_url_params must be a text"),
        ({"host": f"{'a' * 64}.example"}, f"Host '{'a' * 64}.example' cannot be found"),
        ({"tunnel_method": {"tunnel_method": "SSH_KEY_AUTH"}}, "SSH_KEY_AUTH is not supported"),
        ({"entra_service_principal_auth": True}, "entra_service_principal_auth is not supported"),
        ({"port": "many"}, "port is 'many'"),
        ({"host": ""}, "host is missing"),
        ({"ssl_mode": {"mode": "verify-full"}}, "needs ca_certificate"),
    ],
)
def test_check_tells_apart_what_is_wrong(source: Any, overrides: dict[str, Any], words: str) -> None:
    status = source.check(**overrides)
    assert status["status"] == "FAILED"
    assert words in status["message"]


def test_what_the_jdbc_driver_takes_is_taken(source: Any, execute: Any) -> None:
    execute("CREATE TABLE t (id int)")
    parameters = "ApplicationName=primary&connectTimeout=9&tcpKeepAlive=true&targetServerType=master&prepareThreshold=0"
    assert source.check(jdbc_url_params=parameters) == {"status": "SUCCEEDED"}
    parsed = config.parse({**source.config, "jdbc_url_params": parameters, "host": "[::1] "})
    assert parsed.parameters["application_name"] == "primary"
    assert parsed.host == "::1"


def test_what_is_no_postgres_is_said_to_be_none(source: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for _ in range(2):  # the second is libpq
                connection, _address = listener.accept()
                with connection:
                    connection.recv(8)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        status = source.check(port=listener.getsockname()[1])
        thread.join()
    assert "is no Postgres; check host and port" in status["message"]


@pytest.mark.parametrize(
    "said", ["sorry, too many clients already", "remaining connection slots are reserved for roles"]
)
def test_a_server_without_a_connection_left_may_have_one_later(source: Any, said: str) -> None:
    error = refused(config.parse(source.config), f"FATAL: {said}")
    assert "no connection left" in error.message
    assert error.failure_type == "transient_error"


def test_check_names_the_missing_privilege(source: Any, execute: Any, postgres_server: Any, database: Any) -> None:
    execute("CREATE SCHEMA inner_ones; CREATE TABLE inner_ones.t (id int)")
    stranger = f"stranger_{database.name}"
    postgres_server.ensure_role(stranger, "pw")

    def said() -> str:
        status = source.check(username=stranger, password="pw", schemas=["inner_ones"])
        return status.get("message", status["status"])

    assert f"GRANT USAGE ON SCHEMA inner_ones TO {stranger}" in said()
    execute(f"GRANT USAGE ON SCHEMA inner_ones TO {stranger}")
    assert f"GRANT SELECT ON ALL TABLES IN SCHEMA inner_ones TO {stranger}" in said()
    execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA inner_ones TO {stranger}")
    assert said() == "SUCCEEDED"
    execute(f"REVOKE CONNECT ON DATABASE {database.name} FROM PUBLIC")
    assert f"GRANT CONNECT ON DATABASE {database.name} TO {stranger}" in said()


def test_no_message_shows_the_password(source: Any) -> None:
    run = source("read", config={**source.config, "password": "Pa55-word", "database": "Pa55-word"}, catalog={})
    assert run.status == 1
    assert b"Pa55-word" not in b"".join(run.lines)
    assert run.errors[0]["failure_type"] == "config_error"
