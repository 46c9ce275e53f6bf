"""The SQL front end: GoogleSQL → Google's own analyzer → its resolved tree → DuckDB SQL.

``frontend`` is the way in. ``wasm`` and ``analyzer`` run the analyzer, ``catalog`` mounts the tables a statement names,
``resolved`` reads the tree, ``translate`` turns its nodes and ``functions`` its function signatures into DuckDB SQL,
each from a table; what is not in a table is refused by name (notImplemented). ``macros`` is what DuckDB needs to know
first, ``errors`` and ``wording`` put DuckDB's words into Google's, ``routines`` knows SQL functions, ``reference`` asks
Google's evaluator for a second opinion.

What is known to differ from BigQuery is listed in docs/bigquery-emulator.md.
"""
