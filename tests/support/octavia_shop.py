"""The little shop that octavia's tests replicate: its tables, its server's API, and reading a command's result."""

from __future__ import annotations

import subprocess

from airbyte_api import AirbyteAPI, models

PASSWORD_VARIABLE = "SHOP_PASSWORD"
TABLES = """
create table users (id uuid primary key, email text, updated_at timestamptz not null);
create table products (id uuid primary key, title text);
create table payments (id uuid primary key, amount numeric(12, 2), updated_at timestamptz not null);
"""


def sdk(env: dict[str, str]) -> AirbyteAPI:
    credentials = models.SchemeClientCredentials(
        client_id=env["AIRBYTE_CLIENT_ID"],
        client_secret=env["AIRBYTE_CLIENT_SECRET"],
        token_url=f"{env['AIRBYTE_API_URL']}/applications/token",
    )
    return AirbyteAPI(
        server_url=env["AIRBYTE_API_URL"], security=models.Security(client_credentials=credentials), timeout_ms=60_000
    )


def succeeded(result: subprocess.CompletedProcess[str], status: int = 0) -> str:
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout
