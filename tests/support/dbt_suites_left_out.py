"""Which suites of ``dbt-tests-adapter`` say nothing of BigQuery, and why."""

from __future__ import annotations

_POSTGRES = "it compares with SQL that only Postgres's adapter makes"
_SQL = "it relies on SQL, or on wording, that only Postgres has"
_PYTHON = "dbt runs Python models on Dataproc or BigQuery DataFrames"
_PYTHON_FUNCTION = "functions in Python are refused"
_CASCADE = "it expects a table's views to be dropped with it"
_TYPES = "its columns have Postgres's types, which BigQuery does not compare with each other"
_CORE = "dbt-core 1.11 does not keep --empty from loading seeds"
_ALTER = "with --empty, dbt-bigquery replaces `table (select …)`, where Google's grammar wants a table's name, too"
#: Why a suite is left out, by module, by module and class, or with the name of one test.
NOT_FOR_BIGQUERY: dict[str, str] = {
    "aliases.test_aliases.TestSameAliasDifferentDatabases": "an emulator serves one project",
    "basic.test_get_catalog_for_single_relation": "dbt-bigquery has no catalog of a single relation",
    "basic.test_incremental.BaseIncrementalBadStrategy": "dbt-bigquery refuses unknown strategies in words of its own",
    "catalog.relation_types": "dbt-bigquery names the types of relations otherwise",
    "column_types.test_column_types": _POSTGRES,
    "dbt_clone.test_dbt_clone.TestPostgresCloneNotPossible": "tables can be cloned",
    "empty.test_empty.BaseTestEmptySeedFlag": _CORE,
    "empty.test_empty.MetadataWithEmptyFlag.test_run[alter_column_type]": _ALTER,
    "ephemeral.test_ephemeral.TestEphemeralMulti": _POSTGRES,
    "ephemeral.test_ephemeral.TestEphemeralNested": _POSTGRES,
    "functions.test_js_udfs": "functions in JavaScript are refused",
    "functions.test_udafs.PythonUDAF": _PYTHON_FUNCTION,
    "functions.test_udafs.PythonUDAFDefaultArgSupport": _PYTHON_FUNCTION,
    "functions.test_udfs.CanFindScalarFunctionRelation": "test_emulator_dbt_functions has it in BigQuery's SQL",
    "functions.test_udfs.DeterministicUDF": _SQL,
    "functions.test_udfs.NonDeterministicUDF": _SQL,
    "functions.test_udfs.PythonUDFDefaultArgSupport": _PYTHON_FUNCTION,
    "functions.test_udfs.PythonUDFVolatilitySupport": _PYTHON_FUNCTION,
    "functions.test_udfs.PythonUDFWithPackagesSupported": _PYTHON_FUNCTION,
    "functions.test_udfs.StableUDF": _SQL,
    "hooks.test_model_hooks": _SQL,
    "hooks.test_run_hooks.TestPrePostRunHooks": _SQL,
    "persist_docs.test_persist_docs.TestPersistDocs": "dbt-bigquery has an empty comment where there is none",
    "python_model": _PYTHON,
    "relations.test_dropping_schema_named": "dbt-bigquery needs the database, too",
    "simple_copy.test_copy_uppercase": "it asks for Postgres's adapter",
    "simple_seed.test_seed.TestBasicSeedTests": _CASCADE,
    "simple_seed.test_seed.TestSeedConfigFullRefreshOn": _CASCADE,
    "simple_seed.test_seed.TestSeedSpecificFormats": "a dot is not allowed in a table's name",
    "simple_seed.test_seed.TestSeedWithWrongDelimiter": _SQL,
    "simple_seed.test_seed.TestSimpleSeedWithBOM": "its file is not in the package",
    "simple_snapshot.new_record_dbt_valid_to_current": _TYPES,
    "simple_snapshot.test_ephemeral_snapshot_hard_deletes.BaseSnapshotNewColumnTimestampStrategy": _TYPES,
    "simple_snapshot.test_snapshot.TestSnapshot": _TYPES,
    "store_test_failures_tests.test_store_test_failures": _TYPES,
    "utils.test_current_timestamp.BaseCurrentTimestampNaive": "BigQuery's current timestamp has a zone",
    "utils.test_escape_single_quotes.TestEscapeSingleQuotes": "BigQuery escapes quotes with a backslash",
}
