from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from airbyte_services import AirbyteServer

from local_stack.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def airbyte(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirbyteServer]:
    """One server for the tests that leave it running."""
    postgres_server.ensure_role("airbyte_meta", "meta")
    postgres_server.ensure_database("airbyte_meta", "airbyte_meta")
    url = f"postgresql://airbyte_meta:meta@{postgres_server.host}:{postgres_server.port}/airbyte_meta"
    server = AirbyteServer(url, tmp_path_factory.mktemp("airbyte"))
    yield server
    server.stop()
