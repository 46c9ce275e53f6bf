"""Strings, BYTES and the elements of arrays."""

from __future__ import annotations

MACROS: dict[str, tuple[str, str]] = {
    "bq_substr": (
        "s, start, size",
        """bq_check((size) >= 0 OR (s) IS NULL, 'Third argument in SUBSTR() cannot be negative',
        CASE WHEN (start) > 0 THEN substring(s, start, size) WHEN (start) = 0 THEN substring(s, 1, size)
        WHEN -(start) >= length(s) THEN substring(s, 1, size)
        ELSE substring(s, length(s) + (start) + 1, size) END)""",
    ),
    "bq_substr_from": (
        "s, start",
        """CASE WHEN (start) > 0 THEN substring(s, start) WHEN -(start) >= length(s) OR (start) = 0 THEN s
        ELSE substring(s, length(s) + (start) + 1) END""",
    ),
    "bq_bytes_substr": (
        "b, start, size",
        """bq_check((size) >= 0 OR (b) IS NULL, 'Third argument in SUBSTR() cannot be negative',
        unhex(substring(hex(b), CASE WHEN (start) > 0 THEN 2 * (start) - 1
        WHEN (start) = 0 OR -(start) >= octet_length(b) THEN 1
        ELSE 2 * (octet_length(b) + (start)) + 1 END, 2 * (size))))""",
    ),
    # DuckDB maps one letter to one; only ASCII is left to it
    "bq_upper": ("s", "CASE WHEN strlen(s) = length(s) THEN upper(s) ELSE bq_full_upper(s) END"),
    "bq_lower": ("s", "CASE WHEN strlen(s) = length(s) THEN lower(s) ELSE bq_full_lower(s) END"),
    "bq_initcap": (
        "s, delimiters",
        """CASE WHEN (s) IS NOT NULL THEN list_reduce(list_prepend('', string_split(s, '')),
        lambda text, letter: text || CASE WHEN contains(delimiters, letter) THEN letter
        WHEN text = '' OR contains(delimiters, right(text, 1))
        THEN upper(letter) ELSE lower(letter) END) END""",
    ),
    "bq_array_at": (
        "a, position, shown",
        """bq_check((position) >= 1 AND (position) <= len(a),
        'Array index ' || (shown) || ' is out of bounds', list_extract(a, position))""",
    ),
    "bq_array_safe_at": (
        "a, offset_",
        "CASE WHEN (offset_) >= 0 AND (offset_) < len(a) THEN list_extract(a, (offset_) + 1) END",
    ),
    "bq_array_without_null": (
        "a",
        """bq_check(len(a) = list_count(a), 'Array cannot have a null element; error in writing field', a)""",
    ),
    # leaves: what is found in text by text; NULL unless found where one of them is NULL
    "bq_contains": (
        "leaves, folded",
        """CASE WHEN len(list_filter(leaves, lambda e: contains(bq_casefold(e), folded))) > 0 THEN true
        WHEN len(leaves) = list_count(leaves) THEN false END""",
    ),
}
