from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import ui_services
from airbyte_services import AirbyteServer
from real_services import Database

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


@pytest.fixture(scope="session")
def shop(new_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ui_services.Shop]:
    """A server of its own for the review UI: what it shows is known to the last connection."""
    made = ui_services.open_shop(new_database(), tmp_path_factory.mktemp("ui"))
    yield made
    made.server.stop()
