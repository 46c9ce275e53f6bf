"""DuckDB settings and macros that the translated SQL relies on. Run :data:`SETUP_SQL` once per database, after
``python_functions.register``, and :data:`SESSION_SQL` on every further cursor.

Macros stand in a database in memory beside the one that is open: in that they would stay in its file, and as temporary
ones they would have to be made for each cursor, which takes 70 ms.

A macro's argument is expanded as often as the body names it, so the translator binds arguments that are more than a
column or constant before it calls one (see ``translate.context.bind``).
"""

from __future__ import annotations

from bq_emulator.sql.errors import CHECK_MARK
from bq_emulator.sql.macros import json, numbers, parsing, texts, times

_DATABASE = "__macros"
SESSION_SQL: tuple[str, ...] = (
    f"SET search_path = 'main,{_DATABASE}.main'",
    "SET TimeZone = 'UTC'",
    "SET max_expression_depth = 20000",
    # It moves expressions that occur twice out of TRY and COALESCE, so that what must not fail does.
    "SET disabled_optimizers = 'common_subexpressions'",
)

#: ``bq_check(ok, message, value)``: value where ``ok`` is true or NULL, else the error ``message``.
_CHECK = f"""CASE WHEN CASE WHEN (ok) IS NOT FALSE THEN true ELSE CAST('{CHECK_MARK}' || (message) AS BOOLEAN) END
    THEN (value) END"""

#: Name → parameters and body. A macro stands behind those it calls.
MACROS: dict[str, tuple[str, str]] = {
    "bq_check": ("ok, message, value", _CHECK),
    **numbers.MACROS,
    **times.MACROS,
    **parsing.MACROS,
    **texts.MACROS,
    **json.MACROS,
}

SETUP_SQL: tuple[str, ...] = (
    f"ATTACH ':memory:' AS {_DATABASE}",
    *SESSION_SQL,
    *(f"CREATE MACRO {_DATABASE}.main.{name}({values}) AS {body}" for name, (values, body) in MACROS.items()),
)
