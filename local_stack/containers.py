"""What the container stack (docker-compose.yml) needs from ``.env``."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping

from local_stack.settings import new_secrets

#: Known in the local stack (README.md), secret where containers may run on any machine.
_PASSWORDS = ("SOURCE_POSTGRES_PASSWORD", "SOURCE_DB_PASSWORD", "AIRFLOW_ADMIN_PASSWORD")


def missing_variables(written: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name and value of each variable that compose asks for and that neither ``.env`` nor the environment has."""
    wanted = {
        "COMPOSE_PROFILES": "default",
        "AIRBYTE_CLIENT_ID": "marketplace-local",
        **{name.upper(): value for name, value in new_secrets().items()},
        **{name: secrets.token_urlsafe(24) for name in _PASSWORDS},
    }
    for name, value in wanted.items():
        if not written.get(name) and not environment.get(name):
            yield name, value
