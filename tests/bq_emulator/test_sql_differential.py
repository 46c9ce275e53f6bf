"""The translation and Google's reference evaluator give the same types and the same values, or both an error: for every
line of the corpus, for generated calls of every function signature in the tables, and for generated queries.

``GOOGLE_COMPARISON_ROUNDS`` and ``GOOGLE_COMPARISON_SEED`` make the generated part longer or another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from golden import CORPUS as GOLDEN
from golden import cases
from google_calls import Calls
from google_comparison import Answer, Comparison
from google_queries import Queries

from bq_emulator.sql.signatures import builtin

CORPUS = GOLDEN / "differential"
ROUNDS = int(os.environ.get("GOOGLE_COMPARISON_ROUNDS", "1"))
SEED = int(os.environ.get("GOOGLE_COMPARISON_SEED", "1"))

#: Where the two may disagree, and why: (what the query matches, what the difference matches, the reason).
EXPLAINED = [
    (
        r"ARRAY|\[",
        r"emulator: error: Array cannot have a null element",
        "BigQuery refuses a NULL element in a result's array; the evaluator shows it. "
        "https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#array_nulls",
    ),
    (
        r"CAST\('-?inf' AS FLOAT64\)",
        r"^SELECT (o, )?AVG",
        "The evaluator's running mean makes NaN of an infinity that further values follow; its sum stays infinite.",
    ),
    (
        r"5e-324|1e20|1e15|123456789\.|2147483648|9007199254740993|9223372036854775807",
        r"^SELECT (o, )?(SUM|AVG)",
        "Both round sums of FLOAT64, in another order; AVG of INT64 is exact here, Google's evaluator adds in FLOAT64.",
    ),
    (
        r"0001-01-01.*'(Asia|America|Europe)/",
        r"FORMAT_|EXTRACT|_TRUNC|TIME\(",
        "The zones' local mean times have seconds, which Google drops.",
    ),
]


@pytest.fixture(scope="module")
def comparison() -> Iterator[Comparison]:
    made = Comparison()
    yield made
    made.close()


def queries(path: Path) -> Iterator[str]:
    """The corpus: one expression list, or (queries.sql) one query a line."""
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            yield line if path.stem == "queries" else f"SELECT {line}"


def explained(sql: str, difference: str) -> bool:
    return any(
        re.search(query, sql) and re.search(pattern, difference, re.MULTILINE) for query, pattern, _ in EXPLAINED
    )


def test_golden_cases_agree_with_googles_evaluator(comparison: Comparison) -> None:
    """Those that read no tables; a few functions are not the evaluator's."""
    differences, compared = [], 0
    for topic in ("queries", "aggregates", "functions"):
        for case in cases(GOLDEN / f"{topic}.txt"):
            if "shop." in case.sql or case.expected.startswith("error notImplemented"):
                continue
            google = comparison.by_google(case.sql)
            if google.error and re.search("Unsupported built-in function|has no evaluator", google.error):
                continue
            difference = comparison.difference(case.sql, google)
            compared += 1
            if difference and not explained(case.sql, difference):
                differences.append(difference)
    assert not differences, "\n".join(differences)
    assert compared > 130


@pytest.mark.parametrize("topic", sorted(path.stem for path in CORPUS.glob("*.sql")))
def test_corpus_agrees_with_googles_evaluator(topic: str, comparison: Comparison) -> None:
    found = [comparison.difference(sql) for sql in queries(CORPUS / f"{topic}.sql")]
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.slow
def test_generated_calls_agree_with_googles_evaluator(
    comparison: Comparison, record_property: pytest.RecordProperty
) -> None:
    before = comparison.values
    compared: set[tuple[str, str]] = set()
    differences: list[str] = []
    for signature, query, singly in Calls(SEED, ROUNDS).queries(builtin(comparison.analyzer)):
        answer = comparison.by_google(query)
        # One failing row fails the query: then each row is a query.
        asked: list[tuple[str, Answer | None]] = [(sql, None) for sql in singly] if answer.error and singly else []
        for sql, known in asked or [(query, answer)]:
            google = known or comparison.by_google(sql)
            if google.error and re.search(r"\[at |No matching signature|Unsupported built-in", google.error):
                continue  # not a call at all, made for types that this function does not take; or not the evaluator's
            compared.add((signature.function, signature.name))
            difference = comparison.difference(sql, google)
            if difference and not explained(sql, difference):
                differences.append(difference)
    record_property("values", comparison.values - before)
    print(f"{len(compared)} signatures, {comparison.values - before} values compared, seed {SEED}")
    assert not differences, "\n".join(differences)
    assert len(compared) > 480 and comparison.values - before > 2000


def test_generated_queries_agree_with_googles_evaluator(
    comparison: Comparison, record_property: pytest.RecordProperty
) -> None:
    before = comparison.values
    queries = Queries(SEED)
    differences = []
    for _ in range(40 * ROUNDS):
        sql = queries.next()
        google = comparison.by_google(sql)
        assert not re.search(r"\[at ", google.error or ""), f"{google.error} in {sql}"
        difference = comparison.difference(sql, google)
        if difference and not explained(sql, difference):
            differences.append(difference)
    record_property("values", comparison.values - before)
    print(f"{40 * ROUNDS} queries, {comparison.values - before} values compared, seed {SEED}")
    assert not differences, "\n".join(differences)
    assert comparison.values - before > 400 * ROUNDS
