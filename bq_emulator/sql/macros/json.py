"""JSON."""

from __future__ import annotations

MACROS: dict[str, tuple[str, str]] = {
    "bq_json_scalar": (
        "js, path",
        """CASE json_type(js, path) WHEN 'OBJECT' THEN NULL WHEN 'ARRAY' THEN NULL WHEN 'NULL' THEN NULL
        WHEN 'DOUBLE' THEN bq_json_number(CAST(json_extract_string(js, path) AS DOUBLE))
        ELSE json_extract_string(js, path) END""",
    ),
    # DuckDB prints some doubles in another way than Google: what holds one is put into the normal form again.
    "bq_json_get": (
        "js, path",
        """list_transform([json_extract(js, path)], lambda j: CASE WHEN regexp_matches(CAST(j AS VARCHAR), '[0-9][.eE]')
        THEN CAST(bq_json_normal(CAST(j AS VARCHAR), 'round') AS JSON) ELSE j END)[1]""",
    ),
    "bq_json_or_null": (
        "s",
        "CASE WHEN json_valid(s) THEN CAST(s AS JSON) END",
    ),
    "bq_parse_json": (
        "s",
        "CAST(bq_json_normal(s, 'exact') AS JSON)",
    ),
}
