"""What BigQuery needs of the suites of ``dbt-tests-adapter``.

The suites are written for Postgres; an adapter overrides fixtures where its warehouse's SQL differs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from dbt.tests.adapter.basic.expected_catalog import base_expected_catalog, expected_references_catalog
from dbt.tests.adapter.constraints import fixtures as constraints
from dbt.tests.util import AnyInteger
from dbt_suites_materialized_views import MaterializedViewChange, MaterializedViewsAreFresh


class AlwaysFullRefresh:
    """A table is made a view with ``--full-refresh`` only."""

    def _run_and_check_materialization(self, materialization: str, extra_args: list[str] | None = None) -> None:
        super()._run_and_check_materialization(materialization, ["--full-refresh"])  # type: ignore[misc]


def _without_comments(catalog: dict[str, Any]) -> dict[str, Any]:
    """dbt-bigquery documents a column without a comment as having an empty one."""
    for node in (*catalog["nodes"].values(), *catalog["sources"].values()):
        for column in node["columns"].values():
            column["comment"] = ""
    return catalog


def _rewritten(*replacements: tuple[str, str]) -> type:
    """The suite's files with other words, see ``all_suites.project_files``."""
    return type("Rewritten", (), {"replacements": replacements})


class FullRefreshReplaces:
    """A table is not made a view, nor a view a table, without ``--full-refresh``."""

    @pytest.fixture(scope="class")
    def test_config(self) -> dict[str, bool]:
        return {"require_full_refresh": True}


# Documentation --------------------------------------------------------------------------------------------------------


def _stats(is_table: bool) -> dict[str, Any]:
    if not is_table:
        return {
            "has_stats": {
                "id": "has_stats",
                "label": "Has Stats?",
                "value": False,
                "description": "Indicates whether there are statistics for this table",
                "include": False,
            }
        }
    stats = {
        "num_rows": ("# Rows", "Approximate count of rows in this table"),
        "num_bytes": ("Approximate Size", "Approximate size of table as reported by BigQuery"),
    }
    return {
        **_stats(False),
        **{
            name: {"id": name, "label": label, "value": AnyInteger(), "description": text, "include": True}
            for name, (label, text) in stats.items()
        },
    } | {"has_stats": {**_stats(False)["has_stats"], "value": True}}


_CATALOG: dict[str, Any] = {
    "role": None,
    "id_type": "INT64",
    "text_type": "STRING",
    "time_type": "DATETIME",
    "view_type": "view",
    "table_type": "table",
    "model_stats": _stats(False),
    "seed_stats": _stats(True),
}


class ExpectsCatalog:
    @pytest.fixture(scope="class")
    def expected_catalog(self, project: Any) -> Any:
        return _without_comments(base_expected_catalog(project, **_CATALOG))


class ExpectsReferencesCatalog:
    @pytest.fixture(scope="class")
    def expected_catalog(self, project: Any) -> Any:
        stats = {"model_stats": _stats(True), "view_summary_stats": _stats(False)}
        return _without_comments(expected_references_catalog(project, **{**_CATALOG, **stats}, bigint_type="INT64"))


# Contracts ------------------------------------------------------------------------------------------------------------


class ContractTypes:
    @pytest.fixture
    def string_type(self) -> str:
        return "STRING"

    @pytest.fixture
    def int_type(self) -> str:
        return "INT64"

    @pytest.fixture
    def data_types(self) -> list[list[str]]:
        """An expression, its type in the contract, its type in dbt's error."""
        return [
            ["1", "int64", "INT64"],
            ["'1'", "string", "STRING"],
            ["date '2019-01-01'", "date", "DATE"],
            ["true", "bool", "BOOL"],
            ["timestamp '2013-11-03 00:00:00-07'", "timestamp", "TIMESTAMP"],
            ["datetime '2013-11-03 00:00:00'", "datetime", "DATETIME"],
            ["['a']", "array<string>", "ARRAY<STRING>"],
            ["numeric '1'", "numeric", "NUMERIC"],
            ["bignumeric '1'", "bignumeric", "BIGNUMERIC"],
            ["""json '{"a": 1}'""", "json", "JSON"],
        ]


_COLUMNS = "id INT64 not null{key}, color string, date_day string{constraints}"
_CREATED = (
    "create or replace table <model_identifier> ({columns}) options() as (select id, color, date_day from "
    "(-- depends_on: <foreign_key_model_identifier>\n select 'blue' as color, 1 as id, '2019-01-01' as date_day)"
    " as model_subq);"
)


class _ExpectsDdl:
    columns = ""

    @pytest.fixture(scope="class")
    def expected_sql(self) -> str:
        return _CREATED.format(columns=self.columns)


class ColumnConstraints(_ExpectsDdl):
    columns = _COLUMNS.format(
        key=" primary key not enforced references <foreign_key_model_identifier> (id) not enforced", constraints=""
    )


class ModelConstraints(_ExpectsDdl):
    columns = _COLUMNS.format(
        key="",
        constraints=", primary key (id) not enforced,"
        " foreign key (id) references <foreign_key_model_identifier> (id) not enforced",
    )


class QuotedColumn:
    replacements = (('"from"', "`from`"), ("type: text", "type: string"), ("'`from`'", '"`from`"'))

    @pytest.fixture(scope="class")
    def expected_sql(self) -> str:
        return (
            "create or replace table <model_identifier> (id int64 not null, `from` string not null, date_day string)"
            " options() as (select id, `from`, date_day from"
            " (select 'blue' as `from`, 1 as id, '2019-01-01' as date_day) as model_subq);"
        )


class RejectsNull:
    @pytest.fixture(scope="class")
    def expected_error_messages(self) -> list[str]:
        return ["Required field id cannot be null"]


class SqlHeader:
    """A script's variable, declared in the header, in the place of Postgres's session setting."""

    materialized = "table"

    @pytest.fixture(scope="class")
    def models(self) -> dict[str, str]:
        return {
            "my_model_contract_sql_header.sql": f"""
                {{{{ config(materialized='{self.materialized}', on_schema_change='append_new_columns') }}}}
                {{% call set_sql_header(config) %}} declare greeting string default 'hello'; {{% endcall %}}
                select greeting as column_name
                """,
            "constraints_schema.yml": constraints.model_contract_header_schema_yml,
        }


class IncrementalSqlHeader(SqlHeader):
    materialized = "incremental"


# Grants ---------------------------------------------------------------------------------------------------------------


class Grantees:
    @pytest.fixture(scope="class", autouse=True)
    def get_test_users(self) -> Iterator[list[str]]:
        """In the place of the suite's own fixture, which reads them from the environment."""
        names = {f"DBT_TEST_USER_{number}": f"user:analyst{number}@example.com" for number in (1, 2, 3)}
        os.environ.update(names)
        yield list(names.values())
        for name in names:
            del os.environ[name]

    def privilege_grantee_name_overrides(self) -> dict[str, str]:
        return {
            "select": "roles/bigquery.dataViewer",
            "insert": "roles/bigquery.dataEditor",
            "fake_privilege": "not-a-role",
            "invalid_user": "user:no at sign",
        }


class SeedGrantees(Grantees):
    def seeds_support_partial_refresh(self) -> bool:
        """dbt-bigquery makes a seed's table anew each time."""
        return False


class InvalidGrantees(Grantees):
    def grantee_does_not_exist_error(self) -> str:
        return "Invalid user/group"

    def privilege_does_not_exist_error(self) -> str:
        return "Unsupported role in GRANT"


# Incremental models, snapshots ----------------------------------------------------------------------------------------


class MergePredicates:
    key = "+incremental_predicates"

    @pytest.fixture(scope="class")
    def project_config_update(self) -> dict[str, Any]:
        return {"models": {self.key: ["dbt_internal_dest.id != 2"], "+incremental_strategy": "merge"}}


class Predicates(MergePredicates):
    key = "+predicates"


# Types ----------------------------------------------------------------------------------------------------------------


class UnitTestTypes:
    @pytest.fixture
    def data_types(self) -> list[list[str]]:
        """An expression and a unit test's way to write its value."""
        return [
            ["1", "1"],
            ["'1'", "1"],
            ["cast('true' as boolean)", "true"],
            ["date '2020-01-02'", "2020-01-02"],
            ["timestamp '2013-11-03 00:00:00-0'", "2013-11-03 00:00:00-0"],
            ["datetime '2013-11-03 00:00:00'", "2013-11-03T00:00:00"],
            ["time '01:02:03'", "'01:02:03'"],
            ["numeric '1.5'", "1.5"],
            ["b'abc'", "'YWJj'"],
            ["['a', 'b']", "['a', 'b']"],
            ["[1, 2]", "[1, 2]"],
            ["[date '2020-01-02']", "['2020-01-02']"],
            ["struct('a' as name, [1, 2] as numbers)", """'struct("a" as name, [1, 2] as numbers)'"""],
            ["[struct(1 as a, 'x' as b)]", """['struct(1 as a, "x" as b)']"""],
            ["""json '{"a": 1}'""", """{"a": 1}"""],  # a mapping: BigQuery casts no text to JSON
        ]


class NumericOfSeed:
    def numeric_fixture_type(self) -> str:
        return "numeric"


class Timestamps:
    @pytest.fixture(scope="class")
    def expected_schema(self) -> dict[str, str]:
        return {
            "current_timestamp": "TIMESTAMP",
            "current_timestamp_in_utc_backcompat": "TIMESTAMP",
            "current_timestamp_backcompat": "TIMESTAMP",
        }

    @pytest.fixture(scope="class")
    def expected_sql(self) -> str:
        return (
            "select current_timestamp() as current_timestamp,"
            " current_timestamp as current_timestamp_in_utc_backcompat,"
            " current_timestamp as current_timestamp_backcompat"
        )


class SeedTypes:
    replacements = (
        ("type: date", "type: DATETIME"),  # their dates have a time, which Google refuses in a DATE
        ("type: text", "type: STRING"),
        ("type: integer", "type: INT64"),
        ("type: boolean", "type: BOOLEAN"),
        ("type: timestamp without time zone", "type: DATETIME"),
    )

    @staticmethod
    def seed_enabled_types() -> dict[str, str]:
        return {"seed_id": "STRING", "birthday": "DATETIME"}

    @staticmethod
    def seed_tricky_types() -> dict[str, str]:
        return {"seed_id_str": "STRING", "looks_like_a_bool": "STRING", "looks_like_a_date": "STRING"}


class NullsAreEqual:
    @pytest.fixture(scope="class")
    def project_config_update(self) -> dict[str, Any]:
        return {"flags": {"enable_truthy_nulls_equals_macro": True}}


class FreshnessSql:
    @pytest.fixture(scope="class")
    def valid_sql(self) -> str:
        return "select current_timestamp()"


class ShowsLimitError:
    DATABASE_ERROR_MESSAGE = "Syntax error: Expected end of input but got keyword LIMIT"


#: By module and class of ``dbt.tests.adapter``.
OVERRIDES: dict[str, tuple[type, ...]] = {
    "aliases.test_aliases.TestAliases": (_rewritten(("::text", "")),),
    "aliases.test_aliases.TestSameAliasDifferentSchemas": (_rewritten(("::text", "")),),
    "basic.test_base.TestSimpleMaterializations": (FullRefreshReplaces,),
    "basic.test_docs_generate.TestDocsGenerate": (ExpectsCatalog,),
    "basic.test_docs_generate.TestDocsGenReferences": (ExpectsReferencesCatalog,),
    "constraints.test_constraints.TestTableConstraintsColumnsEqual": (ContractTypes,),
    "constraints.test_constraints.TestViewConstraintsColumnsEqual": (ContractTypes,),
    "constraints.test_constraints.TestIncrementalConstraintsColumnsEqual": (ContractTypes,),
    "constraints.test_constraints.TestTableConstraintsRuntimeDdlEnforcement": (ColumnConstraints,),
    "constraints.test_constraints.TestIncrementalConstraintsRuntimeDdlEnforcement": (ColumnConstraints,),
    "constraints.test_constraints.TestModelConstraintsRuntimeEnforcement": (ModelConstraints,),
    "constraints.test_constraints.TestConstraintQuotedColumn": (QuotedColumn,),
    "constraints.test_constraints.TestTableConstraintsRollback": (RejectsNull,),
    "constraints.test_constraints.TestIncrementalConstraintsRollback": (RejectsNull,),
    "constraints.test_constraints.TestTableContractSqlHeader": (SqlHeader,),
    "constraints.test_constraints.TestIncrementalContractSqlHeader": (IncrementalSqlHeader,),
    "dbt_show.test_dbt_show.TestShowDoesNotHandleDoubleLimit": (ShowsLimitError,),
    "empty.test_empty.MetadataWithEmptyFlag": (_rewritten(("varchar", "string")),),
    "grants.test_incremental_grants.TestIncrementalGrants": (Grantees,),
    "grants.test_invalid_grants.TestInvalidGrants": (InvalidGrantees,),
    "grants.test_model_grants.TestModelGrants": (Grantees,),
    "grants.test_seed_grants.TestSeedGrants": (SeedGrantees,),
    "grants.test_snapshot_grants.TestSnapshotGrants": (Grantees,),
    "incremental.test_incremental_predicates.TestIncrementalPredicatesDeleteInsert": (MergePredicates,),
    "incremental.test_incremental_predicates.TestPredicatesDeleteInsert": (Predicates,),
    "incremental.test_incremental_microbatch.BaseMicrobatch": (
        _rewritten(
            (
                "batch_size='day'",
                "batch_size='day', "
                "partition_by={'field': 'event_time', 'data_type': 'timestamp', 'granularity': 'day'}",
            )
        ),
    ),
    "materialized_view.basic.MaterializedViewBasic": (MaterializedViewsAreFresh,),
    "materialized_view.changes.MaterializedViewChanges": (MaterializedViewChange,),
    "materialized_view.changes.MaterializedViewChangesApplyMixin": (MaterializedViewChange,),
    "materialized_view.changes.MaterializedViewChangesContinueMixin": (MaterializedViewChange,),
    "materialized_view.changes.MaterializedViewChangesFailMixin": (MaterializedViewChange,),
    "simple_seed.test_seed_type_override.TestSimpleSeedColumnOverride": (SeedTypes,),
    "unit_testing.test_types.TestPostgresUnitTestingTypes": (UnitTestTypes,),
    "unit_testing.test_types.BaseUnitTestingVarcharFixtureNoTruncation": (_rewritten(("varchar(5)", "string(5)")),),
    "unit_testing.test_quoted_reserved_word_column_names.BaseUnitTestQuotedReservedWordColumnNames": (
        _rewritten(('"GROUP"', "`GROUP`")),
    ),
    "utils.data_types.test_type_numeric.TestTypeNumeric": (NumericOfSeed,),
    "relations.test_changing_relation_type.TestChangeRelationTypes": (AlwaysFullRefresh,),
    "utils.test_equals.TestEquals": (NullsAreEqual,),
    "utils.test_get_intervals_between.TestGetIntervalsBetween": (
        _rewritten(("09/01/2023", "2023-09-01"), ("09/12/2023", "2023-09-12")),
    ),
    "utils.test_source_freshness_custom_info.TestCalculateFreshnessMethod": (FreshnessSql,),
    "utils.test_timestamps.TestCurrentTimestamps": (Timestamps,),
}
