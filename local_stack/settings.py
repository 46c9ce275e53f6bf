"""What the stack runs with: the environment, over ``.env``, over the local defaults.

Everything that differs between a laptop and production is one of these variables; ``.env.example`` lists them all.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = (LOOPBACK, "localhost", "::1")

#: Variables that reach the services whatever they are called, if set.
_PASSED_THROUGH = ("GOOGLE_APPLICATION_CREDENTIALS", "BIGQUERY_CREDENTIALS_JSON", "SOURCE_POSTGRES_SSL_MODE")
_SCHEMES_PORTS = {"http": 80, "https": 443}


class SettingsError(Exception):
    """A variable has a value that cannot work; the message names it and says what to do."""


@dataclass(frozen=True)
class Address:
    """A service's address, and whether the stack may start the embedded one there."""

    url: str
    setting: str
    embedded: bool

    @property
    def port(self) -> int:
        parts = urlsplit(self.url)
        return parts.port or _SCHEMES_PORTS[parts.scheme]


@dataclass(frozen=True)
class Settings:
    """Effective settings. Paths are absolute; passwords and secrets never appear in ``repr``."""

    home: Path
    environment: dict[str, str] = field(repr=False)
    secrets: dict[str, str] = field(repr=False)
    bin: Path

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def get(self, name: str, default: str = "") -> str:
        """The variable's value; an empty one counts as not set."""
        return self.environment.get(name) or default

    def port(self, name: str, default: int) -> int:
        value = self.get(name, str(default))
        if not value.isdecimal() or not 0 < int(value) < 65536:
            raise SettingsError(f"{name} is {value!r}: give a port number from 1 to 65535.")
        return int(value)

    # --- Postgres -----------------------------------------------------------------------------------------------

    @property
    def source_is_embedded(self) -> bool:
        """Whether the demo database is ours; with SOURCE_POSTGRES_HOST set, the given one is only ever read."""
        return not self.get("SOURCE_POSTGRES_HOST")

    @property
    def postgres_port(self) -> int:
        """The embedded Postgres's port: the demo source and the metadata of Airbyte and Airflow.

        Beside a given source only the metadata is in it, on a port of its own, so that a source on this machine can
        have the usual one.
        """
        if self.source_is_embedded:
            return self.port("SOURCE_POSTGRES_PORT", 5433)
        return self.port("METADATA_POSTGRES_PORT", 5434)

    @property
    def postgres_setting(self) -> str:
        return "SOURCE_POSTGRES_PORT" if self.source_is_embedded else "METADATA_POSTGRES_PORT"

    @property
    def postgres_data(self) -> Path:
        return self.home / "postgres" / "data"

    @property
    def source(self) -> dict[str, str]:
        """The replication side's SOURCE_POSTGRES_* variables, all of them."""
        given = {name: self.get(f"SOURCE_POSTGRES_{name}") for name in ("HOST", "PORT", "DATABASE", "USER", "PASSWORD")}
        if self.source_is_embedded:
            return {
                "HOST": LOOPBACK,
                "PORT": str(self.postgres_port),
                "DATABASE": given["DATABASE"] or "marketplace",
                "USER": given["USER"] or "airbyte",
                "PASSWORD": given["PASSWORD"] or "airbyte_secret",
            }
        missing = [f"SOURCE_POSTGRES_{name}" for name in ("DATABASE", "USER", "PASSWORD") if not given[name]]
        if missing:
            raise SettingsError(
                f"SOURCE_POSTGRES_HOST is set, so the source is your own database, but {', '.join(missing)} "
                "is not. Set it too, or unset SOURCE_POSTGRES_HOST to use the demo database."
            )
        return given | {"PORT": str(self.port("SOURCE_POSTGRES_PORT", 5432))}

    @property
    def source_db_dsn(self) -> str:
        """The application's own access to the demo database, for the generator and the simulator."""
        source = self.source
        default = f"postgresql://marketplace:marketplace_secret@{LOOPBACK}:{self.postgres_port}/{source['DATABASE']}"
        return self.get("SOURCE_DB_DSN", default)

    # --- BigQuery -----------------------------------------------------------------------------------------------

    @property
    def bigquery(self) -> Address:
        """The warehouse. Given credentials and no endpoint mean Google (an empty address)."""
        given = self.get("BIGQUERY_API_ENDPOINT")
        credentials = self.get("GOOGLE_APPLICATION_CREDENTIALS") or self.get("BIGQUERY_CREDENTIALS_JSON")
        if not given and credentials:
            return Address("", "BIGQUERY_API_ENDPOINT", embedded=False)
        url = (given or f"http://{LOOPBACK}:9050").rstrip("/")
        return Address(url, "BIGQUERY_API_ENDPOINT", embedded=_is_loopback("BIGQUERY_API_ENDPOINT", url))

    @property
    def bigquery_project(self) -> str:
        return self.get("BIGQUERY_PROJECT", "marketplace-analytics")

    @property
    def bigquery_location(self) -> str:
        return self.get("BIGQUERY_LOCATION", "US")

    # --- Airbyte ------------------------------------------------------------------------------------------------

    @property
    def airbyte(self) -> Address:
        url = self.get("AIRBYTE_API_URL", f"http://{LOOPBACK}:8000/api/public/v1").rstrip("/")
        return Address(url, "AIRBYTE_API_URL", embedded=_is_loopback("AIRBYTE_API_URL", url))

    @property
    def airbyte_credentials(self) -> tuple[str, str]:
        client_id, client_secret = self.get("AIRBYTE_CLIENT_ID"), self.get("AIRBYTE_CLIENT_SECRET")
        if bool(client_id) != bool(client_secret):
            raise SettingsError("Set AIRBYTE_CLIENT_ID and AIRBYTE_CLIENT_SECRET together, or neither.")
        if client_id:
            return client_id, client_secret
        if not self.airbyte.embedded:
            raise SettingsError(
                f"AIRBYTE_API_URL is {self.airbyte.url}, an Airbyte of your own: set AIRBYTE_CLIENT_ID and "
                "AIRBYTE_CLIENT_SECRET to an application's credentials there."
            )
        return "marketplace-local", self.secrets["airbyte_client_secret"]

    # --- Airflow ------------------------------------------------------------------------------------------------

    @property
    def airflow_port(self) -> int:
        return self.port("AIRFLOW__API__PORT", 8080)

    @property
    def airflow_url(self) -> str:
        return f"http://{LOOPBACK}:{self.airflow_port}"

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"

    @property
    def dbt_manifest(self) -> Path:
        return self.home / "dbt" / "target" / "manifest.json"

    # --- What children get --------------------------------------------------------------------------------------

    def metadata_url(self, database: str) -> str:
        """A SQLAlchemy-style URL of a metadata database (``airflow`` or ``airbyte``) in the embedded Postgres."""
        password = quote(self.secrets[f"{database}_database_password"], safe="")
        return f"postgresql://{database}_metadata:{password}@{LOOPBACK}:{self.postgres_port}/{database}"

    def child_environment(self) -> dict[str, str]:
        """The whole environment of every service and command: ours, with all platform variables filled in."""
        client_id, client_secret = self.airbyte_credentials
        platform = {
            **{f"SOURCE_POSTGRES_{name}": value for name, value in self.source.items()},
            "AIRBYTE_API_URL": self.airbyte.url,
            "AIRBYTE_CLIENT_ID": client_id,
            "AIRBYTE_CLIENT_SECRET": client_secret,
            # What the stack's own file says is in this environment; octavia would add another's.
            "OCTAVIA_ENV_FILE": os.devnull,
            "BIGQUERY_PROJECT": self.bigquery_project,
            "BIGQUERY_LOCATION": self.bigquery_location,
            "BIGQUERY_API_ENDPOINT": self.bigquery.url,
            "DBT_TARGET": self.get("DBT_TARGET", "local" if self.bigquery.url else "prod"),
            "DBT_PROJECT_DIR": str(ROOT / "dbt"),
            "DBT_PROFILES_DIR": str(ROOT / "dbt"),
            "DBT_MANIFEST_PATH": str(self.dbt_manifest),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
            "SCARF_NO_ANALYTICS": "true",
        }
        if self.source_is_embedded:
            platform["SOURCE_DB_DSN"] = self.source_db_dsn
        passed = {name: self.get(name) for name in _PASSED_THROUGH if self.get(name)}
        path = f"{self.bin}{os.pathsep}{self.environment.get('PATH', os.defpath)}"
        return self.environment | platform | passed | {"PATH": path} | self.airflow_environment()

    def airflow_environment(self) -> dict[str, str]:
        """Airflow's own variables: the committed settings, overridden by the user's, plus what is only known here."""
        committed = dotenv_values(ROOT / "airflow" / "config" / "airflow.cfg.env", interpolate=False)
        overridden = {name: value for name, value in self.environment.items() if name.startswith("AIRFLOW__")}
        client_id, client_secret = self.airbyte_credentials
        connection = {
            "conn_type": "airbyte",
            "host": f"{self.airbyte.url}/",
            "login": client_id,
            "password": client_secret,
        }
        return {
            **{name: value or "" for name, value in committed.items()},
            "AIRFLOW_CONN_AIRBYTE_DEFAULT": json.dumps(connection),
            **overridden,
            "AIRFLOW_HOME": str(self.airflow_home),
            # By default in the machine's temporary folder, which all stacks would share.
            "AIRFLOW__COSMOS__CACHE_DIR": str(self.airflow_home / "cosmos"),
            "AIRFLOW__API__BASE_URL": self.airflow_url,
            "AIRFLOW__API__HOST": LOOPBACK,
            "AIRFLOW__API__PORT": str(self.airflow_port),
            "AIRFLOW__API__SECRET_KEY": self.secrets["airflow_secret_key"],
            "AIRFLOW__API_AUTH__JWT_SECRET": self.secrets["airflow_jwt_secret"],
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "airflow" / "dags"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.airflow_url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": self.secrets["airflow_fernet_key"],
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.airflow_home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.metadata_url("airflow").replace(
                "postgresql://", "postgresql+psycopg2://"
            ),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.logs / "airflow"),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "airflow" / "config"), str(ROOT / "airflow" / "include")]),
        }


def load(home: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment and ``.env``; create the stack's folder and its generated secrets when missing.

    A given ``environment`` takes the place of both.

    Raises:
        SettingsError: if a value cannot work.
    """
    environment = dict(written() | dict(os.environ) if environment is None else environment)
    isolate(environment)
    folder = home or Path(environment.get("LOCAL_STACK_DIR") or ROOT / ".local")
    folder = folder.absolute()
    for path in (folder, folder / "logs", folder / "run"):
        path.mkdir(parents=True, exist_ok=True)
    return Settings(folder, environment, _generated_secrets(folder / "secrets.json"), Path(sys.executable).parent)


def written() -> dict[str, str]:
    """What ``.env`` says, or the file that LOCAL_STACK_ENV_FILE names in its place.

    Raises:
        SettingsError: if that file is not there.
    """
    named = os.environ.get("LOCAL_STACK_ENV_FILE")
    if named and not Path(named).exists():
        raise SettingsError(f"LOCAL_STACK_ENV_FILE is '{named}', but there is no such file.")
    return {name: value for name, value in dotenv_values(named or ROOT / ".env").items() if value is not None}


def isolate(environment: MutableMapping[str, str]) -> None:
    """Take out what would lead clients of the services here astray, in place.

    Those are libpq's variables, of which each that a connection does not name itself counts (PGSSLMODE=require, which
    the embedded Postgres cannot do), and proxies, which cannot reach this machine.
    """
    for name in [name for name in environment if name.startswith("PG")]:
        del environment[name]
    given = environment.get("no_proxy") or environment.get("NO_PROXY", "")
    hosts = ",".join(dict.fromkeys([*filter(None, given.split(",")), *_LOOPBACK_NAMES]))
    environment["no_proxy"] = environment["NO_PROXY"] = hosts


def new_secrets() -> dict[str, str]:
    """Passwords and keys for one installation's services, safe in addresses and in ``.env``."""
    return {
        "postgres_superuser_password": secrets.token_urlsafe(24),
        "airflow_database_password": secrets.token_urlsafe(24),
        "airbyte_database_password": secrets.token_urlsafe(24),
        "airbyte_client_secret": secrets.token_urlsafe(32),
        "airflow_secret_key": secrets.token_urlsafe(32),
        "airflow_jwt_secret": secrets.token_urlsafe(48),
        "airflow_fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


def _generated_secrets(file: Path) -> dict[str, str]:
    """Passwords and keys of the embedded services: made once, readable by the owner only."""
    known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    wanted = new_secrets()
    if wanted.keys() - known.keys():
        known = wanted | known
        scratch = file.with_suffix(".tmp")
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            json.dump(known, output, indent=2)
        scratch.rename(file)
    return known


def _is_loopback(setting: str, url: str) -> bool:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError as error:
        raise SettingsError(f"{setting} is {url!r}: {error}.") from error
    if parts.scheme not in _SCHEMES_PORTS or not parts.hostname:
        raise SettingsError(f"{setting} is {url!r}: give an address such as http://{LOOPBACK}:8000.")
    return parts.hostname in _LOOPBACK_NAMES
