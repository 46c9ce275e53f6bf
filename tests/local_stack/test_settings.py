"""How the environment decides which services are ours and which are given."""

from pathlib import Path

import pytest
from octavia import settings as octavia_settings
from own_environment import PLATFORM

from local_stack import settings as module
from local_stack.settings import Settings, SettingsError


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Load the settings with only the given variables set."""
    for name in list(module.os.environ):
        if name.startswith(PLATFORM):
            monkeypatch.delenv(name)

    def with_variables(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return module.load(tmp_path / "stack")

    return with_variables


def test_without_any_variable_everything_is_embedded_on_the_documented_ports(load) -> None:
    current = load()
    assert current.source_is_embedded and current.postgres_port == 5433
    assert current.bigquery.embedded and current.bigquery.url == "http://127.0.0.1:9050"
    assert current.airbyte.embedded and current.airbyte.url == "http://127.0.0.1:8000/api/public/v1"
    assert current.airflow_port == 8080
    assert current.child_environment()["DBT_TARGET"] == "local"


def test_a_given_source_is_used_and_the_metadata_moves_out_of_its_way(load) -> None:
    current = load(
        SOURCE_POSTGRES_HOST="127.0.0.1",
        SOURCE_POSTGRES_PORT="5433",
        SOURCE_POSTGRES_DATABASE="shop",
        SOURCE_POSTGRES_USER="reader",
        SOURCE_POSTGRES_PASSWORD="pw",
    )
    assert not current.source_is_embedded
    assert current.source == {
        "HOST": "127.0.0.1", "PORT": "5433", "DATABASE": "shop", "USER": "reader", "PASSWORD": "pw",
    }  # fmt: skip
    assert current.postgres_port == 5434
    assert "SOURCE_DB_DSN" not in current.child_environment()


def test_a_given_source_without_its_password_is_refused_by_name(load) -> None:
    current = load(SOURCE_POSTGRES_HOST="db", SOURCE_POSTGRES_DATABASE="shop", SOURCE_POSTGRES_USER="reader")
    with pytest.raises(SettingsError, match="SOURCE_POSTGRES_PASSWORD"):
        _ = current.source


def test_google_credentials_without_an_endpoint_mean_google(load) -> None:
    current = load(GOOGLE_APPLICATION_CREDENTIALS="/keys/warehouse.json")
    assert current.bigquery.url == "" and not current.bigquery.embedded
    environment = current.child_environment()
    assert environment["DBT_TARGET"] == "prod"
    assert environment["BIGQUERY_API_ENDPOINT"] == ""
    assert environment["GOOGLE_APPLICATION_CREDENTIALS"] == "/keys/warehouse.json"


def test_what_a_shell_has_for_other_services_does_not_reach_these(load) -> None:
    environment = load(
        HTTPS_PROXY="http://proxy:3128", no_proxy=".example.com,localhost", PGSSLMODE="require", PGUSER="me"
    ).child_environment()
    assert not [name for name in environment if name.startswith("PG")]
    assert environment["no_proxy"] == environment["NO_PROXY"] == ".example.com,localhost,127.0.0.1,::1"
    assert environment["HTTPS_PROXY"] == "http://proxy:3128"


def test_an_airbyte_elsewhere_needs_its_own_credentials(load) -> None:
    current = load(AIRBYTE_API_URL="https://airbyte.example.com/api/public/v1")
    assert not current.airbyte.embedded
    with pytest.raises(SettingsError, match="AIRBYTE_CLIENT_ID"):
        _ = current.airbyte_credentials


@pytest.mark.parametrize(
    ("name", "value"),
    [("SOURCE_POSTGRES_PORT", "54x"), ("AIRFLOW__API__PORT", "70000"), ("AIRBYTE_API_URL", "localhost:8000")],
)
def test_a_value_that_cannot_work_is_refused_with_its_name(load, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        load(**{name: value}).child_environment()


def test_generated_secrets_stay_the_same_and_are_private(load, tmp_path: Path) -> None:
    first = load()
    again = load()
    assert first.secrets == again.secrets
    assert (tmp_path / "stack" / "secrets.json").stat().st_mode & 0o077 == 0
    assert not any(secret in repr(first) for secret in first.secrets.values())


def test_the_users_airflow_variables_win_over_the_committed_ones(load) -> None:
    assert load(AIRFLOW__CORE__PARALLELISM="2").airflow_environment()["AIRFLOW__CORE__PARALLELISM"] == "2"


def test_every_variable_of_the_design_is_in_the_example_file() -> None:
    example = (module.ROOT / ".env.example").read_text()
    for name in (
        *(f"SOURCE_POSTGRES_{part}" for part in ("HOST", "PORT", "DATABASE", "USER", "PASSWORD", "SSL_MODE")),
        "AIRBYTE_API_URL", "AIRBYTE_CLIENT_ID", "AIRBYTE_CLIENT_SECRET", "AIRBYTE_WORKSPACE_ID", "BIGQUERY_PROJECT",
        "BIGQUERY_LOCATION", "BIGQUERY_API_ENDPOINT", "GOOGLE_APPLICATION_CREDENTIALS", "BIGQUERY_CREDENTIALS_JSON",
        "METADATA_POSTGRES_PORT", "SOURCE_DB_SCALE", "AIRFLOW__API__PORT", "LOCAL_STACK_DIR", "SOURCE_DB_DSN",
    ):  # fmt: skip
        assert f"# {name}=" in example, name


def test_another_file_than_env_is_read_where_it_is_named_and_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "staging.env"
    monkeypatch.setenv("LOCAL_STACK_ENV_FILE", str(other))
    with pytest.raises(SettingsError, match=rf"LOCAL_STACK_ENV_FILE is '{other}', but there is no such file"):
        module.load(tmp_path / "stack")
    other.write_text("SOURCE_DB_SCALE=7\n")
    assert module.load(tmp_path / "stack").environment["SOURCE_DB_SCALE"] == "7"


def test_octavia_knows_what_the_stacks_file_says_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("AIRBYTE_WORKSPACE_ID=another\nOCTAVIA_ENVIRONMENT=cdc\n")
    (tmp_path / "staging.env").write_text("AIRBYTE_WORKSPACE_ID=staging\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_STACK_ENV_FILE", "staging.env")
    for name, value in module.load(tmp_path / "stack").child_environment().items():
        monkeypatch.setenv(name, value)
    known = octavia_settings.load(tmp_path)
    assert (known.workspace, known.environment) == ("staging", None)
