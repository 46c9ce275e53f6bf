"""Files: environment variables, YAML types, lines, and what validation names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from octavia import project as projects
from octavia import yamlfile
from octavia.errors import InvalidFiles
from octavia.secrets import redact

Write = Callable[[str], Path]
ENV = {"SHOP_PASSWORD": "hunter2-of-the-shop"}


def value(write: Write, text: str, **variables: str) -> object:
    return yamlfile.read(write(text), variables).value["key"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key: ${PORT}", 5433),
        ('key: "${PORT}"', "5433"),
        ("key: '${PORT}'", "5433"),
        ("key: ${FLAG}", True),
        ("key: ${HOST}:${PORT}", "db:5433"),
        ("key: ${UNSET:-7}", 7),
        ("key: ${EMPTY:-fallback}", "fallback"),
        ("key: ${PORT:-1}", 5433),
        ("key: ${NUL}", None),
        ('key: "$${PORT}"', "${PORT}"),
        ("key: ${JSON}", '{"a": [1]}'),
        ("key: 2026-01-31", "2026-01-31"),
        ('key: "100$"', "100$"),
        ("key: |\n  a ${PORT}\n", "a 5433\n"),
    ],
)
def test_a_plain_scalar_takes_the_type_of_its_expanded_text_and_a_quoted_one_stays_text(
    write: Write, text: str, expected: object
) -> None:
    variables = {"PORT": "5433", "FLAG": "true", "HOST": "db", "EMPTY": "", "NUL": "null", "JSON": '{"a": [1]}'}
    result = value(write, text, **variables)
    assert result == expected
    assert type(result) is type(expected)


def test_a_value_that_is_empty_because_its_variable_is_gets_left_out(write: Write) -> None:
    document = yamlfile.read(write('a: "${X:-}"\nb: ${X:-}\nc: ""\nd: [1, "${X:-}", 2]\n'), {})
    assert document.value == {"c": "", "d": [1, 2]}


def test_source_namespace_stays_literal_in_namespace_format_only(write: Write) -> None:
    text = 'namespace_format: "${SOURCE_NAMESPACE}_${STAGE}"\nother: "${SOURCE_NAMESPACE}"\n'
    document = yamlfile.read(write(text), {"SOURCE_NAMESPACE": "mine", "STAGE": "dev"})
    assert document.value == {"namespace_format": "${SOURCE_NAMESPACE}_dev", "other": "mine"}


@pytest.mark.parametrize("reference", ["${X", "${X-1}", "${1X}", "${}", "${X:-a{b}c}"])
def test_a_malformed_reference_is_refused(write: Write, reference: str) -> None:
    with pytest.raises(InvalidFiles, match=r"configuration\.yaml:2: key: .*not a variable reference"):
        yamlfile.read(write(f'a: 1\nkey: "{reference}"\n'), {"X": "1"})


def test_every_unset_variable_is_named_with_line_and_key(write: Write) -> None:
    with pytest.raises(InvalidFiles) as caught:
        yamlfile.read(write("a:\n  b: ${ONE}\n  c:\n  - d: '${TWO}'\n"), {})
    assert [(p.line, p.key) for p in caught.value.problems] == [(2, "a.b"), (4, "a.c[0].d")]
    assert "variable ONE is not set" in str(caught.value)
    assert "variable TWO is not set" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [1\n", 3, "is not YAML"),
        ("a: 1\na: 2\n", 2, "is there twice"),
        ("a: 1\nb: &x [*x]\n", 2, "contains itself"),
        ("a: 1\nb: {<<: 3}\n", 2, "expected a mapping"),
        ("a: 1\nb: !python/none x\n", 2, "not a valid"),
    ],
)
def test_broken_yaml_is_reported_with_its_line(write: Write, text: str, line: int, message: str) -> None:
    with pytest.raises(InvalidFiles, match=message) as caught:
        yamlfile.read(write(text), {})
    assert caught.value.problems[0].line == line


def test_anchors_and_merge_keys_work(write: Write) -> None:
    text = "base: &base {mode: full, on: [1]}\none: {<<: *base}\ntwo: {<<: *base, mode: other}\nthree: *base\n"
    loaded = yamlfile.read(write(text), {}).value
    assert loaded["one"] == loaded["three"] == {"mode": "full", "on": [1]}
    assert loaded["two"] == {"mode": "other", "on": [1]}


def test_a_secret_is_taken_out_of_text_also_as_json_writes_it() -> None:
    text = redact('not "p\\"w" nor p"w nor plain', ['p"w', ""])
    assert text == 'not "**********" nor ********** nor plain'


def faults(folder: Path) -> dict[str, tuple[int, str]]:
    with pytest.raises(InvalidFiles) as caught:
        projects.load(folder, ENV)
    return {problem.key: (problem.line, problem.message) for problem in caught.value.problems}


def test_faults_name_line_key_and_cure(project: Any) -> None:
    project.edit(project.source, "definition_id: decd338e", "definitionId: decd338e")
    project.edit(project.connection, "schedule_type: manual", "schedule_type: basic")
    project.edit(project.connection, "sync_mode: full_refresh", "sync_mode: incremental")
    project.edit(project.destination, "resource_name: warehouse", "resource_name: [warehouse]")
    found = faults(project.folder)
    assert found["definitionId"] == (3, "unknown key; did you mean definition_id?")
    assert found[""] == (1, "lacks the required key definition_id")
    line, message = found["configuration.schedule_type"]
    assert (line, message) == (
        7,
        'is "basic", should be one of manual, cron (the public API cannot set a basic schedule, say it as cron)',
    )
    assert found["resource_name"][1] == "is a list, should be of type string"


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        (
            "sync_mode: full_refresh,",
            "sync_mode: incremental,",
            "streams[1].config.destination_sync_mode",
            "does not go",
        ),
        ("{name: products}", "{name: users, namespace: public}", "streams[1].stream.name", "already in line 10"),
        ("overwrite}", "overwrite, alias_name: p}", "streams[1].config.alias_name", "cannot rename"),
        (
            "overwrite}",
            "overwrite, field_selection_enabled: true}",
            "streams[1].config",
            "required key selected_fields",
        ),
    ],
)
def test_faults_of_streams(project: Any, old: str, new: str, key: str, message: str) -> None:
    project.edit(project.connection, old, new)
    found = faults(project.folder)
    assert message in found[f"configuration.sync_catalog.{key}"][1]


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("  schedule_type: manual", "  schedule_type: cron", "configuration", "required key schedule_data"),
        (
            "  schedule_type",
            "  namespace_definition: customformat\n  schedule_type",
            "configuration.namespace_definition",
            "namespace_format",
        ),
        (
            "  schedule_type",
            "  operations: [{name: dbt}]\n  schedule_type",
            "configuration.operations",
            "has no operations",
        ),
        ("  schedule_type", "  skip_reset: true\n  schedule_type", "configuration.skip_reset", "cannot pass it on"),
        ("sources/shop", "sources/other", "source_configuration_path", "not a source's file"),
        ("definition_type: connection", "definition_type: source", "definition_type", "move it to sources/"),
        ("propagate_columns", "propagate", "configuration.non_breaking_changes_preference", "should be one of ignore"),
    ],
)
def test_faults_of_connections(project: Any, old: str, new: str, key: str, message: str) -> None:
    project.edit(project.connection, old, new)
    assert message in faults(project.folder)[key][1]


def test_a_connection_without_a_selected_stream_is_refused(project: Any) -> None:
    project.edit(project.connection, "overwrite}", "overwrite, selected: false}")
    project.edit(project.connection, "cursor_field", "selected: false\n          cursor_field")
    assert "no stream is selected" in faults(project.folder)["configuration.sync_catalog.streams"][1]


def test_two_resources_of_a_kind_cannot_share_a_name(project: Any) -> None:
    twin = project.folder / "sources/twin/configuration.yaml"
    twin.parent.mkdir()
    twin.write_text(project.source.read_text())
    assert "is also the name in" in faults(project.folder)["resource_name"][1]


def test_one_file_can_be_loaded_while_another_is_broken_but_not_what_it_needs(project: Any) -> None:
    project.destination.write_text("broken: [")
    loaded = projects.load(project.folder, ENV, [project.source])
    assert [actor.name for actor in loaded.actors] == ["shop"]
    assert loaded.connections == []
    with pytest.raises(InvalidFiles, match="destinations/warehouse"):
        projects.load(project.folder, ENV, [project.connection])


def test_the_declared_marketplace_files_are_valid() -> None:
    folder = Path(__file__).resolve().parents[3] / "airbyte"
    loaded = projects.load(folder, {"SOURCE_POSTGRES_PASSWORD": "p"})
    assert [actor.name for actor in loaded.actors] == ["marketplace_postgres", "marketplace_bigquery"]
    assert [declared.name for declared in loaded.connections] == ["marketplace_postgres_to_bigquery"]
    assert loaded.actors[0].configuration["port"] == 5433
    assert "api_endpoint" not in loaded.actors[1].configuration
