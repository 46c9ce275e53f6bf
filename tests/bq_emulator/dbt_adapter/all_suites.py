"""Every test class of ``dbt-tests-adapter`` that says something of BigQuery, against the emulator.

Too long for each run of the suite; run it by name: ``pytest tests/bq_emulator/dbt_adapter/all_suites.py``.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import dbt.tests.adapter
import pytest
import sqlglot
from dbt_common.exceptions import DbtRuntimeError
from dbt_suites import OVERRIDES
from dbt_suites_left_out import NOT_FOR_BIGQUERY

PACKAGE = "dbt.tests.adapter"


def _leaves() -> dict[str, type]:
    """The classes nothing in the package is derived from, by module and name."""
    root = Path(next(iter(dbt.tests.adapter.__path__)))
    classes = {}
    for file in sorted(root.rglob("*.py")):
        if file.stem == "__init__":
            continue
        parts = file.relative_to(root).with_suffix("").parts
        module = importlib.import_module(".".join((PACKAGE, *parts)))
        for name, found in vars(module).items():
            if inspect.isclass(found) and found.__module__ == module.__name__:
                classes[found] = ".".join((*parts, name))
    bases = {base for found in classes for base in found.__mro__[1:]}
    return {
        path: found
        for found, path in classes.items()
        if found not in bases and any(name.startswith("test") for name in dir(found))
    }


def _reason(path: str) -> str | None:
    return next((why for left_out, why in NOT_FOR_BIGQUERY.items() if f"{path}.".startswith(f"{left_out}.")), None)


for _path, _class in _leaves().items():
    _name = "Test_" + "_".join(_path.split(".")[-2:])
    _made = type(_name, (*OVERRIDES.get(_path, ()), _class), {"__test__": True, "suite": _path})
    if _why := _reason(_path):
        _made = pytest.mark.skip(reason=_why)(_made)
    globals()[_name] = _made
del _made, _class  # which would be collected once more


@pytest.fixture(autouse=True)
def one_left_out(request: pytest.FixtureRequest) -> None:
    """Leave out a single test of a suite."""
    if why := _reason(f"{request.cls.suite}.{request.node.name}"):
        pytest.skip(why)


@pytest.fixture(scope="class")
def project(project: Any) -> Any:
    """The suites prepare tables in Postgres's SQL; what fails is rewritten into BigQuery's."""
    run = project.run_sql

    def tried(sql: str, fetch: str | None = None) -> Any:
        try:
            return run(sql, fetch=fetch)
        except DbtRuntimeError:
            # With its dash unquoted, Postgres's SQL could not be read.
            sql = sql.format(schema=project.test_schema, database=f'"{project.database}"')
            sql = sql.replace(f"{project.database}.", f'"{project.database}".').replace("`", '"').replace('""', '"')
            try:
                rewritten = sqlglot.transpile(sql, read="postgres", write="bigquery")
            except sqlglot.errors.SqlglotError:
                rewritten = []
            if not rewritten:
                raise
        return [run(statement, fetch=fetch) for statement in rewritten][-1]

    project.run_sql = tried
    return project


@pytest.fixture(scope="class")
def project_files(project_files: None, project_root: Any, request: pytest.FixtureRequest) -> None:
    """The suites' models are partly in Postgres's SQL, too; their overrides say what to put in its place."""
    for old, new in getattr(request.cls, "replacements", ()):
        for file in Path(project_root).rglob("*.*"):
            if file.is_file():
                file.write_text(file.read_text().replace(old, new))
