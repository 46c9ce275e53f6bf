"""STRING and BYTES functions. Positions and lengths count characters of a STRING, bytes of BYTES."""

from __future__ import annotations

import re

from bq_emulator.model import BigQueryError
from bq_emulator.sql import literal
from bq_emulator.sql.functions.evaluated import Evaluated
from bq_emulator.sql.functions.spec import Call, Template, by_count, render


def _like(call: Call) -> str:
    pattern = call.nodes[1]
    if pattern.kind == "Literal" and "\\" not in (call.constant(1) or ""):
        return render("({0} LIKE {1})", call.args)
    return render("({0} LIKE {1} ESCAPE '\\')", call.args)


def _groups(call: Call, position: int = 1) -> int:
    """The number of capturing groups of a constant pattern."""
    pattern = call.constant(position) or ""
    bare = re.sub(r"\\Q.*?\\E|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", "", pattern, flags=re.DOTALL)
    return len(re.findall(r"\((?!\?)|\(\?P?<(?![=!])", bare))


def _regexp_extract(call: Call) -> str:
    if call.nodes[1].kind != "Literal" or len(call.args) > 2:
        return Evaluated("REGEXP_EXTRACT({*})")(call)
    groups = _groups(call)
    if groups > 1:
        message = "Regular expressions passed into extraction functions must not have more than 1 capturing group"
        raise BigQueryError("invalidQuery", message, "query")
    # The list form tells "no match" from "matched nothing", which regexp_extract gives the same ''.
    return render(f"list_extract(regexp_extract_all({{0}}, {{1}}, {groups}), 1)", call.args)


def _regexp_extract_all(call: Call) -> str:
    if call.nodes[1].kind != "Literal" or _may_match_nothing(call.constant(1) or ""):
        return Evaluated("REGEXP_EXTRACT_ALL({*})")(call)
    return render(f"regexp_extract_all({{0}}, {{1}}, {_groups(call)})", call.args)


def _may_match_nothing(pattern: str) -> bool:
    """True if a match may be empty, as far as can be told: DuckDB and Google disagree on empty matches at the end."""
    try:
        return any(found.start() == found.end() for text in ("", "a1 _-B") for found in re.finditer(pattern, text))
    except re.error:  # RE2's own syntax
        return True


def _trim(function: str, *ends: int) -> Template:
    """``ends`` are where it trims, as DuckDB's indexes: a text with printable ASCII there is left as it is.

    Looking for Unicode's whitespace costs DuckDB a microsecond for each text, and hardly any has some. How a text
    begins is told by comparing it, which goes byte by byte.
    """
    printable = {1: "({0} >= '!' AND {0} < chr(127))", -1: "({0})[-1] BETWEEN '!' AND '~'"}
    trimmed = " AND ".join(printable[end] for end in ends)
    any_whitespace = f"CASE WHEN {trimmed} THEN {{0}} ELSE {function}({{0}}, {_WHITESPACE}) END"
    return by_count((1, any_whitespace), (2, f"{function}({{0}}, {{1}})"))


#: Unicode's White_Space, which TRIM removes.
_WHITESPACE = literal.text(
    "\t\n\v\f\r \x85\xa0\u1680"
    + "".join(chr(code) for code in range(0x2000, 0x200B))
    + "\u2028\u2029\u202f\u205f\u3000"
)
_INITCAP_DELIMITERS = literal.text(" \t\n\r\v\f[](){}/|<>!?@\"^#$&~_,.:;*%+-'`=\\")


def _format(call: Call) -> str:
    """FORMAT: a constant pattern of %s, %d, %t, %i and %% piece by piece, any other by Google."""
    pattern = call.constant(0) if call.nodes[0].kind == "Literal" else None
    if pattern is None:
        return Evaluated("FORMAT({*})")(call)
    from bq_emulator.sql.functions.casts import cast_to_string

    parts: list[str] = []
    place = 1
    for piece in re.findall(r"%%|%[^%a-zA-Z]*[a-zA-Z]|[^%]+", pattern):
        if piece == "%%":
            parts.append("'%'")
        elif piece.startswith("%"):
            if place >= len(call.args):
                raise BigQueryError("invalidQuery", f"Too few arguments to FORMAT for pattern {pattern!r}", "query")
            kind, value = call.type(place), call.args[place]
            if piece in ("%d", "%i") and kind.name == "INT64":
                parts.append(f"CAST({value} AS VARCHAR)")
            elif piece == "%s" and kind.name == "STRING":
                parts.append(value)
            elif piece == "%t" and kind.name not in ("STRUCT", "ARRAY", "BYTES", "JSON", "INTERVAL"):
                printed = cast_to_string(call.context, value, kind)
                if kind.name == "FLOAT64":
                    whole = "CASE WHEN regexp_full_match({0}, '-?[0-9]+') THEN {0} || '.0' ELSE {0} END"
                    printed = call.context.apply(whole, [printed])
                parts.append(f"coalesce({printed}, 'NULL')")
            elif (found := re.fullmatch(r"%(0?)(\d+)d", piece)) and kind.name == "INT64":
                parts.append(f"printf('%{found[1]}{found[2]}d', {value})")
            elif (found := re.fullmatch(r"%\.(\d+)f", piece)) and kind.name == "FLOAT64":
                parts.append(f"printf('%.{found[1]}f', {value})")
            else:
                return Evaluated("FORMAT({*})")(call)
            place += 1
        else:
            parts.append(literal.text(piece))
    if place != len(call.args):
        raise BigQueryError("invalidQuery", f"Too many arguments to FORMAT for pattern {pattern!r}", "query")
    return f"({' || '.join(parts) or literal.text('')})"


def _padded(call: str) -> str:
    message = "'Second argument (output size) for LPAD/RPAD cannot be negative'"
    checked = f"bq_check({{1}} >= 0 OR {{0}} IS NULL, {message}, {call})"
    if "{2}" not in call:
        return checked
    empty = "'Third argument (pad pattern) for LPAD/RPAD cannot be empty'"
    return f"bq_check({{2}} <> '' OR {{0}} IS NULL OR {{1}} IS NULL, {empty}, {checked})"


def _to_hex(call: Call) -> str:
    """DuckDB's digests are hexadecimal, before they become BYTES."""
    (text,), (node,) = call.args, call.nodes
    is_digest = node.kind == "FunctionCall" and node.function.name in ("ZetaSQL:md5", "ZetaSQL:sha1", "ZetaSQL:sha256")
    if is_digest and text.startswith("unhex("):
        return text.removeprefix("unhex(").removesuffix(")")
    return f"lower(hex({text}))"


SCALAR: dict[str, Template] = {
    "FN_CONCAT_STRING": lambda call: f"({' || '.join(call.args)})",
    "FN_CONCAT_BYTES": lambda call: f"({' || '.join(call.args)})",
    "FN_CONCAT_OP_STRING": "({0} || {1})",
    "FN_CONCAT_OP_BYTES": "({0} || {1})",
    "FN_STRING_LIKE": _like,
    "FN_UPPER_STRING": "bq_upper({0})",
    "FN_LOWER_STRING": "bq_lower({0})",
    "FN_LENGTH_STRING": "length({0})",
    "FN_CHAR_LENGTH_STRING": "length({0})",
    "FN_LENGTH_BYTES": "octet_length({0})",
    "FN_BYTE_LENGTH_STRING": "octet_length(encode({0}))",
    "FN_BYTE_LENGTH_BYTES": "octet_length({0})",
    "FN_TRIM_STRING": _trim("trim", 1, -1),
    "FN_LTRIM_STRING": _trim("ltrim", 1),
    "FN_RTRIM_STRING": _trim("rtrim", -1),
    "FN_SUBSTR_STRING": by_count((2, "bq_substr_from({0}, {1})"), (3, "bq_substr({0}, {1}, {2})")),
    "FN_SUBSTR_BYTES": by_count(
        (2, "bq_bytes_substr({0}, {1}, octet_length({0}))"), (3, "bq_bytes_substr({0}, {1}, {2})")
    ),
    "FN_LEFT_STRING": "bq_check({1} >= 0 OR {0} IS NULL, 'Second argument in LEFT() cannot be negative', "
    "substring({0}, 1, {1}))",
    "FN_RIGHT_STRING": "bq_check({1} >= 0 OR {0} IS NULL, 'Second argument in RIGHT() cannot be negative', "
    "right({0}, {1}))",
    "FN_REPLACE_STRING": "CASE WHEN {1} = '' THEN {0} ELSE replace({0}, {1}, {2}) END",
    "FN_REVERSE_STRING": "reverse({0})",
    "FN_REPEAT_STRING": "bq_check({1} >= 0 OR {0} IS NULL, "
    "'Second argument (repeat count) for REPEAT cannot be negative', repeat({0}, {1}))",
    "FN_STARTS_WITH_STRING": "starts_with({0}, {1})",
    "FN_ENDS_WITH_STRING": "ends_with({0}, {1})",
    "FN_STRPOS_STRING": "CAST(strpos({0}, {1}) AS BIGINT)",
    "FN_INSTR_STRING": Evaluated("INSTR({*})"),
    "FN_SPLIT_STRING": by_count((1, "string_split({0}, ',')"), (2, "string_split({0}, {1})")),
    "FN_LPAD_STRING": by_count(
        (2, _padded("lpad({0}, CAST({1} AS INTEGER), ' ')")), (3, _padded("lpad({0}, CAST({1} AS INTEGER), {2})"))
    ),
    "FN_RPAD_STRING": by_count(
        (2, _padded("rpad({0}, CAST({1} AS INTEGER), ' ')")), (3, _padded("rpad({0}, CAST({1} AS INTEGER), {2})"))
    ),
    "FN_INITCAP_STRING": by_count((1, f"bq_initcap({{0}}, {_INITCAP_DELIMITERS})"), (2, "bq_initcap({0}, {1})")),
    "FN_TRANSLATE_STRING": "bq_check(len(list_distinct(string_split({1}, ''))) = length({1}) OR {1} = '', "
    "'Duplicate character in TRANSLATE source characters', translate({0}, {1}, {2}))",
    "FN_ASCII_STRING": "bq_check({0} = '' OR ascii({0}) < 128, 'Argument to ASCII is not a structurally valid ASCII "
    "string: ''' || {0} || '''', CAST(CASE WHEN {0} = '' THEN 0 ELSE ascii({0}) END AS BIGINT))",
    "FN_UNICODE_STRING": "CAST(CASE WHEN {0} = '' THEN 0 ELSE unicode({0}) END AS BIGINT)",
    "FN_CHR_STRING": "chr(CAST({0} AS INTEGER))",
    "FN_REGEXP_CONTAINS_STRING": "regexp_matches({0}, {1})",
    "FN_REGEXP_EXTRACT_STRING": _regexp_extract,
    "FN_REGEXP_EXTRACT_ALL_STRING": _regexp_extract_all,
    "FN_REGEXP_REPLACE_STRING": "regexp_replace({0}, {1}, {2}, 'g')",
    "FN_FORMAT_STRING": _format,
    "FN_TO_HEX": _to_hex,
    "FN_FROM_HEX": "unhex(CASE WHEN length({0}) % 2 = 0 THEN {0} ELSE '0' || {0} END)",
    "FN_TO_BASE32": "bq_to_base32({0})",
    "FN_FROM_BASE32": "bq_from_base32({0})",
    "FN_TO_BASE64": "to_base64({0})",
    "FN_FROM_BASE64": "from_base64({0})",
    "FN_MD5_STRING": "unhex(md5({0}))",
    "FN_MD5_BYTES": "unhex(md5({0}))",
    "FN_SHA1_STRING": "unhex(sha1({0}))",
    "FN_SHA1_BYTES": "unhex(sha1({0}))",
    "FN_SHA256_STRING": "unhex(sha256({0}))",
    "FN_SHA256_BYTES": "unhex(sha256({0}))",
    # No macros, so that their arguments need not be bound
    "FN_SHA512_STRING": lambda call: f"bq_sha512(encode({call.args[0]}))",
    "FN_SHA512_BYTES": lambda call: f"bq_sha512({call.args[0]})",
    "FN_FARM_FINGERPRINT_STRING": lambda call: f"bq_farm_fingerprint(encode({call.args[0]}))",
    "FN_FARM_FINGERPRINT_BYTES": lambda call: f"bq_farm_fingerprint({call.args[0]})",
    "FN_TO_CODE_POINTS_STRING": "CASE WHEN {0} = '' THEN [] ELSE "
    "list_transform(string_split({0}, ''), lambda c: CAST(unicode(c) AS BIGINT)) END",
    "FN_CODE_POINTS_TO_STRING": "array_to_string(list_transform({0}, lambda c: chr(CAST(c AS INTEGER))), '')",
}
