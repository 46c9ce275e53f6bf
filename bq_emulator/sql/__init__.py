"""The SQL front end: GoogleSQL → Google's own analyzer → its resolved tree → DuckDB SQL.

``frontend`` is the way in. ``wasm`` and ``analyzer`` run the analyzer, ``catalog`` mounts the tables a statement names,
``resolved`` reads the tree, ``translate`` turns its nodes and ``functions`` its function signatures into DuckDB SQL,
each from a table; what is not in a table is refused by name (notImplemented). ``macros`` is what DuckDB needs to know
first, ``errors`` puts DuckDB's words into Google's, ``reference`` asks Google's evaluator for a second opinion.

Known differences from BigQuery:

- FLOAT64 sums, differences and products beyond the largest double are infinite; Google fails.
- Products and quotients of NUMERIC are exact; a division by a NUMERIC of 1.7e20 or more fails with an overflow.
- NULLIFERROR and its kin do not catch a failing constant inside an argument that holds a subquery.
- SAFE_CAST to NUMERIC(p, s) or STRING(n) gives NULL where the limit is exceeded (Google's evaluator fails).
- APPROX_COUNT_DISTINCT is exact. A WITH entry read twice is evaluated once.
- Over FLOAT64, a window RANGE frame with an offset orders NaN after all numbers.
- The texts of errors that DuckDB raises in arithmetic are shorter than Google's.
"""
