"""What tests share that run an emulator, or its SQL front end, in their own process."""

from __future__ import annotations

import pytest

from bq_emulator.sql.frontend import GoogleSqlFrontend


@pytest.fixture(scope="session")
def frontend() -> GoogleSqlFrontend:
    """One for all of them: an analyzer takes a second to start."""
    return GoogleSqlFrontend(threads=1)
