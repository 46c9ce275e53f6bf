"""Random queries over small tables, for the comparison with Google: joins, groups, windows, subqueries, set operations,
PIVOT, recursion and pipes, over rows with NULL, NaN, -0, infinities, limits, emoji and empty arrays.

Each query says all that decides its answer: windows and ordered aggregates order by a key, so that only the order of
rows is left open.
"""

# ruff: noqa: E501 (tables)
from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

#: Column → (type, values); ``id`` is unique within its table.
COLUMNS: dict[str, tuple[str, list[str]]] = {
    "i": ("INT64", ["0", "1", "-1", "2", "3", "3", "7", "1000000007", "-9007199254740993", "NULL"]),
    "f": ("FLOAT64", ["0.0", "-0.0", "1.5", "-2.25", "0.1", "1e15", "CAST('nan' AS FLOAT64)", "CAST('inf' AS FLOAT64)", "NULL"]),
    "n": ("NUMERIC", ["0", "1.5", "-1.5", "0.000000001", "-2.5", "12345678901234567890.123456789", "99.995", "NULL"]),
    "s": ("STRING", ["''", "'a'", "'A'", "'b'", "'é'", "'😀'", "'straße'", "'a b'", "'%'", "'10'", "NULL"]),
    "d": ("DATE", ["DATE '2020-02-29'", "DATE '2021-01-03'", "DATE '2021-12-31'", "DATE '1969-12-31'", "DATE '2020-03-01'", "NULL"]),
    "t": ("TIMESTAMP", ["TIMESTAMP '2020-02-29 23:59:59.999999+00'", "TIMESTAMP '1970-01-01 00:00:00+00'", "TIMESTAMP '2021-03-14 10:00:00+00'", "NULL"]),
    "b": ("BOOL", ["TRUE", "FALSE", "NULL"]),
    "xs": ("ARRAY<INT64>", ["[1, 2, 3]", "[]", "[3]", "[2, 2]", "NULL"]),
}  # fmt: skip
LIKE = ["'a%'", "'%b%'", "'_'", r"r'\%'", "'%'"]
COMPARABLE = ("INT64", "FLOAT64", "NUMERIC", "STRING", "DATE", "TIMESTAMP", "BOOL")

T = TypeVar("T")


@dataclass
class Scope:
    """Columns in reach: (text, type)."""

    columns: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        return [text for text, found in self.columns if found == kind]


class Queries:
    """``next`` gives one query after the other, the same ones for a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._shapes: list[Callable[[], str]] = [
            self._plain, self._plain, self._grouped, self._grouped, self._windows, self._windows, self._set_operation,
            self._correlated, self._arrays, self._grouping_sets, self._pivot, self._unpivot, self._recursive,
            self._limited, self._pipes, self._nested,
        ]  # fmt: skip

    def next(self) -> str:
        tables = ", ".join(self._table(name) for name in ("l", "r"))
        query = self._pick(self._shapes)()
        if query.startswith("WITH RECURSIVE "):
            return f"WITH RECURSIVE {tables}, {query.removeprefix('WITH RECURSIVE ')}"
        return f"WITH {tables} {query}"

    def _pick(self, options: Sequence[T]) -> T:
        return self._random.choice(options)

    def _some(self, options: list[str], least: int = 1, most: int = 3) -> list[str]:
        return self._random.sample(options, min(len(options), self._random.randint(least, most)))

    def _maybe(self, text: str, chance: float = 0.5) -> str:
        return text if self._random.random() < chance else ""

    def _table(self, name: str) -> str:
        rows = []
        for number in range(self._random.randint(3, 7)):
            cells = [str(number)]
            for kind, values in COLUMNS.values():
                cell = self._random.choice(values)
                cells.append(f"CAST({cell} AS {kind})" if cell in ("NULL", "[]") or kind == "NUMERIC" else cell)
            rows.append(cells)
        named = ", ".join(f"{cell} AS {column}" for cell, column in zip(rows[0], ["id", *COLUMNS], strict=True))
        rest = "".join(f", ({', '.join(cells)})" for cells in rows[1:])
        kept = ", ".join(("id", *COLUMNS))
        return f"{name} AS (SELECT {kept} FROM UNNEST([STRUCT({named}){rest}]))"

    def _columns(self, alias: str) -> Scope:
        return Scope([(f"{alias}.id", "INT64"), *((f"{alias}.{name}", kind) for name, (kind, _) in COLUMNS.items())])

    # Expressions ----------------------------------------------------------------------------------------------------

    def _value(self, scope: Scope, kind: str, depth: int = 1) -> str:
        """An expression of a type."""
        known = scope.of(kind)
        if depth <= 0 or self._random.random() < 0.4:
            literal = [value for value in COLUMNS[self._column_of(kind)][1] if value != "NULL"]
            chosen = self._pick(known) if known and self._random.random() < 0.85 else self._pick(literal)
            return f"NUMERIC '{chosen}'" if kind == "NUMERIC" and chosen in literal else chosen

        def of(other: str) -> str:
            return self._value(scope, other, depth - 1)

        made = {
            "INT64": lambda: self._pick([
                f"MOD({of('INT64')}, 5)", f"COALESCE({of('INT64')}, -5)", f"LENGTH({of('STRING')})", f"EXTRACT(YEAR FROM {of('DATE')})",
                f"CAST({of('BOOL')} AS INT64)", f"DATE_DIFF({of('DATE')}, {of('DATE')}, MONTH)", f"SIGN({of('INT64')})", f"ARRAY_LENGTH({self._array(scope)})",
                f"TIMESTAMP_DIFF({of('TIMESTAMP')}, {of('TIMESTAMP')}, HOUR)", f"SAFE_CAST({of('STRING')} AS INT64)", f"NULLIF({of('INT64')}, 3)",
            ]),
            "FLOAT64": lambda: self._pick([
                f"({of('FLOAT64')} + 1.5)", f"SAFE_DIVIDE({of('INT64')}, {of('INT64')})", f"ABS({of('FLOAT64')})", f"CAST({of('NUMERIC')} AS FLOAT64)",
                f"IF({of('BOOL')}, {of('FLOAT64')}, 0.5)", f"IEEE_DIVIDE({of('FLOAT64')}, {of('FLOAT64')})", f"GREATEST({of('FLOAT64')}, {of('FLOAT64')})",
            ]),
            "NUMERIC": lambda: self._pick([
                f"({of('NUMERIC')} + NUMERIC '0.5')", f"ROUND({of('NUMERIC')}, 2)", f"({of('NUMERIC')} * 3)", f"SAFE_DIVIDE({of('NUMERIC')}, NUMERIC '7')",
                f"CAST({of('INT64')} AS NUMERIC)", f"ABS({of('NUMERIC')})", f"LEAST({of('NUMERIC')}, {of('NUMERIC')})",
            ]),
            "STRING": lambda: self._pick([
                f"CONCAT({of('STRING')}, '-')", f"UPPER({of('STRING')})", f"SUBSTR({of('STRING')}, 1, 2)", f"CAST({of('INT64')} AS STRING)", f"COALESCE({of('STRING')}, '∅')",
                f"CAST({of('NUMERIC')} AS STRING)", f"CASE WHEN {of('BOOL')} THEN {of('STRING')} ELSE 'z' END", f"FORMAT_DATE('%Y-%m', {of('DATE')})", f"REPLACE({of('STRING')}, 'a', '')",
                f"CAST({of('TIMESTAMP')} AS STRING)", f"TO_JSON_STRING({of('FLOAT64')})", f"REVERSE({of('STRING')})",
            ]),
            "DATE": lambda: self._pick([
                f"DATE_ADD({of('DATE')}, INTERVAL 1 MONTH)", f"DATE_TRUNC({of('DATE')}, WEEK)", f"DATE({of('TIMESTAMP')})", f"LAST_DAY({of('DATE')})", f"IFNULL({of('DATE')}, DATE '2000-01-01')",
            ]),
            "TIMESTAMP": lambda: self._pick([
                f"TIMESTAMP_ADD({of('TIMESTAMP')}, INTERVAL 90 MINUTE)", f"TIMESTAMP_TRUNC({of('TIMESTAMP')}, DAY)", f"TIMESTAMP({of('DATE')})",
            ]),
            "BOOL": lambda: self._predicate(scope, depth - 1),
        }  # fmt: skip
        return str(made[kind]())

    def _column_of(self, kind: str) -> str:
        return next(name for name, (found, _) in COLUMNS.items() if found == kind)

    def _array(self, scope: Scope) -> str:
        known = scope.of("ARRAY<INT64>")
        return self._pick(known) if known else "[1, 2]"

    def _predicate(self, scope: Scope, depth: int = 1) -> str:
        kind = self._pick(list(COMPARABLE))

        def value() -> str:
            return self._value(scope, kind, depth)

        simple = [
            f"{value()} {self._pick(['=', '!=', '<', '<=', '>', '>='])} {value()}",
            f"{value()} IS {self._maybe('NOT ')}NULL",
            f"{value()} {self._maybe('NOT ')}IN ({value()}, {value()})",
            f"{value()} BETWEEN {value()} AND {value()}",
            f"{value()} IS {self._maybe('NOT ')}DISTINCT FROM {value()}",
            f"{self._value(scope, 'STRING', 0)} LIKE {self._pick(LIKE)}",
            f"2 IN UNNEST({self._array(scope)})",
        ]
        chosen = self._pick(simple)
        if depth > 0 and self._random.random() < 0.4:
            return f"({chosen} {self._pick(['AND', 'OR'])} {self._maybe('NOT ')}({self._predicate(scope, depth - 1)}))"
        return f"({chosen})"

    def _listed(self, values: list[str]) -> str:
        return ", ".join(f"{value} AS c{place}" for place, value in enumerate(values))

    def _outputs(self, scope: Scope, least: int = 2, most: int = 4) -> list[str]:
        kinds = [self._pick(list(COMPARABLE)) for _ in range(self._random.randint(least, most))]
        return [self._value(scope, kind, 2) for kind in kinds]

    # Sources --------------------------------------------------------------------------------------------------------

    def _source(self) -> tuple[str, Scope]:
        left, right = self._columns("l"), self._columns("r")
        both = Scope(left.columns + right.columns)
        shape = self._random.random()
        if shape < 0.3:
            return "l", left
        if shape < 0.75:
            join = self._pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
            key = self._pick(["i", "s", "d", "b", "id", "n"])
            extra = self._maybe(f" AND {self._predicate(both, 0)}", 0.3) if join in ("JOIN", "LEFT JOIN") else ""
            return f"l {join} r ON l.{key} = r.{key}{extra}", both
        if shape < 0.85:
            unnested = Scope([*left.columns, ("x", "INT64"), ("o", "INT64")])
            return f"l {self._pick([',', 'CROSS JOIN', 'LEFT JOIN'])} UNNEST(l.xs) AS x WITH OFFSET AS o", unnested
        if shape < 0.95:
            where = self._predicate(left)
            return f"(SELECT * FROM l WHERE {where}) AS l", left
        return "l CROSS JOIN r", both

    def _where(self, scope: Scope) -> str:
        return self._maybe(f" WHERE {self._predicate(scope, 2)}", 0.6)

    # Queries --------------------------------------------------------------------------------------------------------

    def _plain(self) -> str:
        source, scope = self._source()
        return f"SELECT {self._maybe('DISTINCT ', 0.3)}{self._listed(self._outputs(scope))} FROM {source}{self._where(scope)}"

    def _aggregates(self, scope: Scope, order: str) -> list[str]:
        def of(kind: str) -> str:
            return self._value(scope, kind, 1)

        return self._some([
            "COUNT(*)", f"COUNT({of('STRING')})", f"COUNT(DISTINCT {of('INT64')})", f"SUM({of('NUMERIC')})", f"AVG({of('NUMERIC')})", f"SUM(MOD({of('INT64')}, 100))",
            f"MIN({of('FLOAT64')})", f"MAX({of('FLOAT64')})", f"MIN({of('STRING')})", f"MAX({of('DATE')})", f"COUNTIF({of('BOOL')})", f"LOGICAL_AND({of('BOOL')})", f"LOGICAL_OR({of('BOOL')})",
            f"STRING_AGG({of('STRING')}, '|' ORDER BY {order})", f"ARRAY_AGG({of('INT64')} IGNORE NULLS ORDER BY {order} LIMIT 3)", f"AVG(MOD({of('INT64')}, 100))", f"SUM(DISTINCT MOD({of('INT64')}, 10))",
            f"MAX({of('TIMESTAMP')})", f"BIT_XOR({of('INT64')})", f"SUM({of('NUMERIC')} HAVING MAX {of('INT64')})", f"MIN({of('STRING')} HAVING MIN {of('DATE')})",
            f"COUNT(DISTINCT {of('FLOAT64')})", f"ARRAY_AGG({of('NUMERIC')} IGNORE NULLS ORDER BY {order} DESC LIMIT 1)",
        ], 1, 5)  # fmt: skip

    def _grouped(self) -> str:
        source, scope = self._source()
        keys = self._some(
            [text for text, kind in scope.columns if kind in COMPARABLE and not text.endswith(".id")], 0, 2
        )
        if self._random.random() < 0.4:
            keys = [*keys[:1], self._value(scope, self._pick(["INT64", "STRING", "DATE", "BOOL"]), 1)]
        keys = [key for key in keys if "." in key or "(" in key]
        order = ", ".join(text for text, kind in scope.columns if text.endswith(".id") or text in ("o", "x"))
        values = keys + self._aggregates(scope, order)
        having = self._maybe(f" HAVING COUNT(*) {self._pick(['> 1', '< 3', '= 1'])}", 0.2) if keys else ""
        group = f" GROUP BY {', '.join(str(place) for place in range(1, len(keys) + 1))}" if keys else ""
        return f"SELECT {self._listed(values)} FROM {source}{self._where(scope)}{group}{having}"

    def _grouping_sets(self) -> str:
        scope = self._columns("l")
        first, second = self._some(["l.i", "l.s", "l.b", "l.d", "l.n"], 2, 2)
        sets = self._pick([
            f"ROLLUP({first}, {second})", f"CUBE({first}, {second})", f"GROUPING SETS (({first}, {second}), ({second}), ())", f"GROUPING SETS ({first}, ROLLUP({second}))",
        ])  # fmt: skip
        aggregates = [each for each in self._aggregates(scope, "l.id") if " HAVING " not in each] or ["COUNT(*)"]
        values = [first, second, f"GROUPING({first})", *aggregates]
        return f"SELECT {self._listed(values)} FROM l{self._where(scope)} GROUP BY {sets}"

    def _windows(self) -> str:
        source, scope = "l", self._columns("l")
        partition = self._maybe(f"PARTITION BY {self._pick(['l.b', 'l.s', 'l.i', 'MOD(l.id, 2)', 'l.n'])} ", 0.6)
        direction = self._pick(["", " DESC", " NULLS LAST", " DESC NULLS FIRST"])
        order = f"ORDER BY {self._pick(['l.i', 'l.s', 'l.f', 'l.n', 'l.d', 'l.t', 'l.b'])}{direction}, l.id"
        frame = self._pick([
            "", " ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING", " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING", " ROWS BETWEEN CURRENT ROW AND 2 FOLLOWING",
            " ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING", " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", " ROWS UNBOUNDED PRECEDING",
        ])  # fmt: skip
        ranged = f"{partition}ORDER BY {self._pick(['l.i', 'l.n', 'l.id'])}{self._pick(['', ' DESC'])} RANGE BETWEEN {self._pick(['1 PRECEDING AND CURRENT ROW', '2 PRECEDING AND 2 FOLLOWING', 'CURRENT ROW AND 1 FOLLOWING', 'UNBOUNDED PRECEDING AND 1 PRECEDING'])}"

        def of(kind: str) -> str:
            return self._value(scope, kind, 1)

        calls = self._some([
            f"ROW_NUMBER() OVER ({partition}{order})", f"RANK() OVER ({partition}ORDER BY {of('INT64')})", f"DENSE_RANK() OVER ({partition}ORDER BY {of('FLOAT64')} DESC)", f"NTILE(3) OVER ({partition}{order})",
            f"PERCENT_RANK() OVER ({partition}ORDER BY {of('STRING')})", f"CUME_DIST() OVER ({partition}ORDER BY {of('NUMERIC')})", f"LAG({of('STRING')}, 1, '-') OVER ({partition}{order})", f"LEAD({of('NUMERIC')}, 2) OVER ({partition}{order})",
            f"FIRST_VALUE({of('INT64')}{self._maybe(' IGNORE NULLS')}) OVER ({partition}{order}{frame})", f"LAST_VALUE({of('DATE')}{self._maybe(' IGNORE NULLS')}) OVER ({partition}{order}{frame})",
            f"NTH_VALUE({of('STRING')}, 2) OVER ({partition}{order}{frame})", f"SUM({of('NUMERIC')}) OVER ({partition}{order}{frame})", f"COUNT({of('FLOAT64')}) OVER ({partition}{order}{frame})",
            f"AVG({of('NUMERIC')}) OVER ({partition}{order}{frame})", f"MAX({of('FLOAT64')}) OVER ({partition}{order}{frame})", f"MIN({of('FLOAT64')}) OVER ({partition}{order}{frame})", f"MIN({of('STRING')}) OVER ({partition}{order}{frame})", f"STRING_AGG({of('STRING')}) OVER ({partition}{order}{frame})",
            f"ARRAY_AGG({of('INT64')} IGNORE NULLS) OVER ({partition}{order}{frame})", f"SUM(MOD(l.i, 100)) OVER ({ranged})", f"COUNT(*) OVER ({ranged})", f"COUNTIF({of('BOOL')}) OVER ({partition})", f"COUNT(DISTINCT {of('INT64')}) OVER ({partition})",
            f"PERCENTILE_CONT({of('NUMERIC')}, {self._pick(['NUMERIC ' + chr(39) + '0.3' + chr(39), 'NUMERIC ' + chr(39) + '0.5' + chr(39)])}) OVER ({partition})", f"PERCENTILE_DISC({of('STRING')}, {self._pick(['0', '0.4', '1'])}{self._maybe(' RESPECT NULLS')}) OVER ({partition})",
        ], 1, 4)  # fmt: skip
        qualify = self._maybe(f" QUALIFY ROW_NUMBER() OVER ({partition}{order}) <= 2", 0.25)
        where = self._where(scope) or (" WHERE TRUE" if qualify else "")
        return f"SELECT {self._listed(['l.id', *calls])} FROM {source}{where}{qualify}"

    def _set_operation(self) -> str:
        kinds = [self._pick(list(COMPARABLE)) for _ in range(2)]
        operator = self._pick(["UNION ALL", "UNION DISTINCT", "INTERSECT DISTINCT", "EXCEPT DISTINCT"])
        sides = []
        for name in ("l", "r"):
            scope = self._columns(name)
            values = self._listed([self._value(scope, kind, 1) for kind in kinds])
            sides.append(f"(SELECT {values} FROM {name}{self._where(scope)})")
        return f" {operator} ".join(sides)

    def _correlated(self) -> str:
        outer = self._columns("l")
        both = Scope(outer.columns + self._columns("r").columns)
        inner = self._predicate(both)
        values = self._some([
            f"(SELECT COUNT(*) FROM r WHERE {inner})", f"EXISTS (SELECT 1 FROM r WHERE {inner})", "(SELECT MAX(r.n) FROM r WHERE r.i = l.i)", "l.i IN (SELECT r.i FROM r WHERE r.b)", "l.s NOT IN (SELECT r.s FROM r)",
            f"ARRAY(SELECT r.id FROM r WHERE {inner} ORDER BY r.id)", "(SELECT SUM(x) FROM UNNEST(l.xs) AS x WHERE x > 1)", "(SELECT STRING_AGG(r.s ORDER BY r.id) FROM r WHERE r.id < l.id)", "(SELECT AS STRUCT r.i, r.s FROM r WHERE r.id = l.id LIMIT 1).s",
            "(SELECT MIN(x) FROM UNNEST(l.xs) AS x JOIN r ON r.id = x)", "(SELECT LOGICAL_AND(l.n > r.n) FROM r)",
        ], 1, 3)  # fmt: skip
        return f"SELECT {self._listed(['l.id', *values])} FROM l WHERE {self._predicate(outer)} OR EXISTS (SELECT 1 FROM r WHERE {inner})"

    def _arrays(self) -> str:
        values = self._some([
            "ARRAY(SELECT x * 2 FROM UNNEST(l.xs) AS x ORDER BY x DESC)", "ARRAY_REVERSE(l.xs)", "ARRAY_CONCAT(l.xs, [9])", "l.xs[SAFE_OFFSET(1)]", "ARRAY_TO_STRING(ARRAY(SELECT CAST(x AS STRING) FROM UNNEST(l.xs) x WITH OFFSET o ORDER BY o), '+')",
            "TO_JSON_STRING(STRUCT(l.s AS a, l.xs AS b, l.n AS c, l.f AS d, l.t AS e))", "(SELECT AS STRUCT COUNT(*) AS c, MAX(x) AS m FROM UNNEST(l.xs) x)", "STRUCT(l.i, l.s) = STRUCT(3, 'a')", "[l.i IS NULL, l.b IS TRUE]",
            "ARRAY(SELECT AS STRUCT x, o FROM UNNEST(l.xs) x WITH OFFSET o ORDER BY o)", "(SELECT o FROM UNNEST(l.xs) x WITH OFFSET o WHERE x = 2 ORDER BY o LIMIT 1)", "GENERATE_ARRAY(1, MOD(ABS(l.i), 4))", "TO_JSON(STRUCT(l.d, l.b))", "ARRAY_LENGTH(SPLIT(l.s, ''))",
            "l.xs IS NULL", "3 IN UNNEST(l.xs)", "ARRAY_FILTER(l.xs, e -> e > 1)", "ARRAY_TRANSFORM(l.xs, (e, p) -> e * p)", "IF(ARRAY_LENGTH(l.xs) > 0, l.xs[OFFSET(0)], -1)",
        ], 1, 4)  # fmt: skip
        return f"SELECT {self._listed(['l.id', *values])} FROM l{self._where(self._columns('l'))}"

    def _pivot(self) -> str:
        key, values = self._pick([("s", "'a', 'b', 'é'"), ("b", "TRUE, FALSE"), ("i", "0, 1, 3")])
        other = "b" if key != "b" else "s"
        call = self._pick(["SUM(n)", "COUNT(*)", "MAX(d)", "STRING_AGG(s ORDER BY id)", "MIN(f)"])
        named = ", ".join(f"{value.strip()} AS p{place}" for place, value in enumerate(values.split(",")))
        extra = self._maybe(", COUNT(n) AS two", 0.4)
        kept = {"SUM(n)": "n", "COUNT(*)": "n", "MAX(d)": "d, n", "MIN(f)": "f, n"}.get(str(call), "s, id, n")
        columns = ", ".join(dict.fromkeys([*kept.split(", "), str(key), other]))
        if extra and "n" not in columns.split(", "):
            columns += ", n"
        return f"SELECT * FROM (SELECT {columns} FROM l) PIVOT({call} AS one{extra} FOR {key} IN ({named}))"

    def _unpivot(self) -> str:
        nulls = self._pick(["", " INCLUDE NULLS", " EXCLUDE NULLS"])
        source = self._pick(["i, id AS j, MOD(i, 3) AS k", "id AS j, MOD(id, 2) AS k, i"])
        return f"SELECT * FROM (SELECT s, {source} FROM l) UNPIVOT{nulls}(v FOR name IN (i, j AS 'jay', k))"

    def _recursive(self) -> str:
        limit = self._random.randint(2, 5)
        operator = self._pick(["ALL", "DISTINCT"])
        step = self._pick(["w.n + 1, w.p || '>'", "w.n + 1, CONCAT(w.p, CAST(w.n AS STRING))"])
        return (
            f"WITH RECURSIVE w AS (SELECT MOD(l.id, 3) AS n, COALESCE(l.s, '') AS p FROM l UNION {operator} "
            f"SELECT {step} FROM w WHERE w.n < {limit}) SELECT w.n, w.p, COUNT(*) AS c FROM w GROUP BY 1, 2"
        )

    def _limited(self) -> str:
        source, scope = self._source()
        values = self._outputs(scope, 2, 3)
        order = ", ".join(
            f"{place}{self._pick(['', ' DESC', ' NULLS LAST', ' ASC NULLS FIRST'])}"
            for place in range(1, len(values) + 1)
        )
        query = f"SELECT {self._listed(values)} FROM {source}{self._where(scope)} ORDER BY {order}"
        return f"SELECT * FROM ({query} LIMIT {self._random.randint(0, 4)}{self._maybe(' OFFSET 1')})"

    def _pipes(self) -> str:
        scope = Scope([(text.removeprefix("l."), kind) for text, kind in self._columns("l").columns])
        steps = [
            f"WHERE {self._predicate(scope)}", f"EXTEND {self._value(scope, 'INT64', 1)} AS e1", f"EXTEND {self._value(scope, 'STRING', 1)} AS e2",
            f"SET n = {self._value(scope, 'NUMERIC', 1)}", "DROP xs, t", "DISTINCT",
        ]  # fmt: skip
        chosen = [step for step in steps if self._random.random() < 0.4 and step != "DISTINCT"]
        last = self._pick([
            "AGGREGATE COUNT(*) AS c, SUM(n) AS m GROUP BY s", "AGGREGATE MAX(d) AS m, MIN(f) AS g GROUP BY b, i", "SELECT id, s, n", "SELECT s, b |> DISTINCT",
            "JOIN r USING (id) |> SELECT id, r.s, l.n" if not chosen else "SELECT id, n", "ORDER BY id |> LIMIT 2 |> SELECT id, i",
        ])  # fmt: skip
        return "FROM l " + " ".join(f"|> {step}" for step in [*chosen, last])

    def _nested(self) -> str:
        inner = self._grouped()
        return (
            f"SELECT COUNT(*) AS k, COUNT(DISTINCT c0) AS u FROM ({inner})"
            if "[" not in inner.split("FROM")[0] and not inner.startswith("SELECT ARRAY")
            else inner
        )
