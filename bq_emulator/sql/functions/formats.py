"""Format strings of FORMAT_… and PARSE_…: constant ones, element by element."""

from __future__ import annotations

import re

from bq_emulator.sql import literal
from bq_emulator.sql.functions import zones
from bq_emulator.sql.functions.evaluated import program
from bq_emulator.sql.functions.spec import Call

#: Elements that are formatted by DuckDB's strftime; those of several parts are written out.
STRFTIME = {
    **{each: f"%{each}" for each in "aAbBdHIjmMpSUWywuVG"},
    "h": "%b",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "E4Y": "%Y",
    "E3S": "%S.%g",
    "E6S": "%S.%f",
}
#: Elements that need an expression; {0} is the wall clock, {1} the zone (None without one).
EXPRESSIONS = {
    # strftime's has four digits at least
    "Y": "CAST(year({0}) AS VARCHAR)",
    "e": "lpad(CAST(day({0}) AS VARCHAR), 2, ' ')",
    "k": "lpad(CAST(hour({0}) AS VARCHAR), 2, ' ')",
    "l": "lpad(CAST((hour({0}) + 11) % 12 + 1 AS VARCHAR), 2, ' ')",
    "P": "lower(strftime({0}, '%p'))",
    "Q": "CAST(quarter({0}) AS VARCHAR)",
    "C": "lpad(CAST(year({0}) // 100 AS VARCHAR), 2, '0')",
    "s": "CAST(bq_floor_div(epoch_us({0}), 1000000) AS VARCHAR)",
    "E*S": "(strftime({0}, '%S') || rtrim(rtrim(strftime({0}, '.%f'), '0'), '.'))",
    "c": "(strftime({0}, '%a %b ') || lpad(CAST(day({0}) AS VARCHAR), 2, ' ') || strftime({0}, ' %H:%M:%S ') "
    "|| year({0}))",
}
_ELEMENT = re.compile(r"%(E4Y|E\*S|E[0-9]S|Ez|.)", re.DOTALL)


def _elements(pattern: str) -> list[tuple[str, str]]:
    """(element, "") and ("", text between) in order."""
    pieces: list[tuple[str, str]] = []
    last = 0
    for found in _ELEMENT.finditer(pattern):
        if found.start() > last:
            pieces.append(("", pattern[last : found.start()]))
        pieces.append((found.group(1), ""))
        last = found.end()
    if last < len(pattern):
        pieces.append(("", pattern[last:]))
    return pieces


#: What the evaluator's WebAssembly build would leave out silently when formatting.
_NOT_FORMATTED = "%[klPf+]"


def _by_google(call: Call) -> str:
    """FORMAT_… or PARSE_… with a computed pattern, or with elements that DuckDB has not."""
    name = call.name.removeprefix("FN_")
    if name.startswith("FORMAT"):
        message = literal.text(f"{name} is not supported by this emulator with the pattern ") + " || {0}"
        pattern = f"bq_check(NOT regexp_matches({{0}}, '{_NOT_FORMATTED}'), {message}, {{0}})"
    else:
        # The evaluator's build does not parse %F and %k.
        pattern = "replace(replace({0}, '%F', '%Y-%m-%d'), '%k', '%H')"
    call.args = [call.context.apply(pattern, call.args[:1]), *call.args[1:]]
    return program(call, f"{name}({{*}})", computed=(0,))


def format_text(call: Call, value: str, zone: str | None) -> str:
    """FORMAT_…(pattern, value); ``zone`` (DuckDB text) for TIMESTAMP."""
    pattern = call.constant(0) if call.nodes[0].kind == "Literal" else None
    zoned = (*(("z", "Ez") if zone else ()), *(("Z",) if zone == "'UTC'" else ()))
    known = {*STRFTIME, *EXPRESSIONS, *zoned, "%", "n", "t", ""}
    if pattern is None or not {element for element, _ in _elements(pattern)} <= known:
        return _by_google(call)

    def body(bound: list[str]) -> str:
        # strftime takes no TIME; the day is not printed.
        clock = zones.local(bound[0], bound[1]) if zone else bound[0]
        clock = f"(DATE '1970-01-01' + {clock})" if call.type(1).name == "TIME" else clock
        parts: list[str] = []
        run = ""
        for element, between in [*_elements(pattern), ("", "")]:
            if element in STRFTIME or (between and not element):
                run += STRFTIME.get(element) or between.replace("%", "%%")
                continue
            if element == "%":
                run += "%%"
                continue
            if element in ("n", "t"):
                run += "\n" if element == "n" else "\t"
                continue
            if run:
                parts.append(f"strftime({clock}, {literal.text(run)})")
                run = ""
            if not element:
                continue
            if element in ("z", "Ez") and zone:
                parts.append(_offset(clock, f"({bound[0]} AT TIME ZONE 'UTC')", ":" if element == "Ez" else ""))
            elif element == "s" and zone:  # of the instant, whatever the zone
                parts.append(EXPRESSIONS["s"].replace("{0}", bound[0]))
            elif element == "Z" and zone == "'UTC'":
                parts.append("'UTC'")
            else:
                parts.append(EXPRESSIONS[element].replace("{0}", clock))
        return f"({' || '.join(parts) or literal.text('')})"

    return call.context.bind([value, zone] if zone else [value], body)


def _offset(local: str, utc: str, separator: str) -> str:
    minutes = f"datediff('minute', {utc}, {local})"
    return (
        f"(CASE WHEN {minutes} < 0 THEN '-' ELSE '+' END || lpad(CAST(abs({minutes}) // 60 AS VARCHAR), 2, '0') "
        f"|| '{separator}' || lpad(CAST(abs({minutes}) % 60 AS VARCHAR), 2, '0'))"
    )


#: Elements PARSE_… accepts, as DuckDB's strptime takes them. Google reads one or two digits where strptime does too.
STRPTIME = {
    **{each: f"%{each}" for each in "aAbBdHIjmMpyY"},
    "S": "%S",
    "e": "%d",
    "h": "%b",
    "k": "%H",
    "l": "%I",
    "F": "%Y-%m-%d",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "R": "%H:%M",
    "D": "%m/%d/%y",
    "x": "%m/%d/%y",
    "E4Y": "%Y",
    "E3S": "%S.%f",
    "E6S": "%S.%f",
    "z": "%z",
    "Ez": "%z",
    "%": "%%",
}

#: Elements that say a year.
HAVE_YEAR = {"Y", "y", "E4Y", "F", "D", "x"}


def parse_text(call: Call, result: str) -> str:
    """PARSE_…(pattern, value [, zone]) as DuckDB type ``result``."""
    pattern = call.constant(0) if call.nodes[0].kind == "Literal" else None
    if pattern is None or not {element for element, _ in _elements(pattern)} <= {*STRPTIME, "E*S", "s", ""}:
        return _by_google(call)
    if pattern == "%s" and result == "TIMESTAMPTZ":
        return call.context.apply("make_timestamptz(bq_string_to_int64({0}) * 1000000)", [call.args[1]])
    elements = _elements(pattern)
    given = call.args[1]
    alternatives = [""]
    if not {element for element, _ in elements} & HAVE_YEAR:
        # strptime would assume 1900; Google assumes 1970
        alternatives, given = ["%Y "], f"('1970 ' || {given})"
    zoned = bool({element for element, _ in elements} & {"z", "Ez"})
    if zoned and not re.search("%E?z$", pattern):
        return _by_google(call)
    if pattern.endswith("%Ez"):  # strptime does not know Z
        given = f"regexp_replace({given}, '[Zz]\\s*$', '+00')"
    for element, between in elements:
        if between:
            forms = [between.replace("%", "%%")]
        elif element == "E*S":
            forms = ["%S.%f", "%S"]
        elif element in STRPTIME:
            forms = [STRPTIME[element]]
        else:
            return _by_google(call)
        alternatives = [before + form for before in alternatives for form in forms]
    formats = f"[{', '.join(literal.text(each) for each in alternatives)}]"
    zone = call.args[2] if len(call.args) > 2 else "'UTC'"
    message = "'Failed to parse input string \"' || {0} || '\"'"
    attempt = f"try_strptime(trim({{0}}), {formats})"
    parsed = f"bq_check({{0}} IS NULL OR {attempt} IS NOT NULL, {message}, {attempt})"
    if zoned and result == "TIMESTAMPTZ":
        return call.context.apply(f"CAST({parsed} AS TIMESTAMPTZ)", [given])
    if zoned:
        return _by_google(call)
    text = call.context.apply(f"CAST({parsed} AS TIMESTAMP)", [given])
    return zones.instant(text, zone) if result == "TIMESTAMPTZ" else f"CAST({text} AS {result})"
