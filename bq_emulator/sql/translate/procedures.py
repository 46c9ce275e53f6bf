"""CALL of BigQuery's own procedures. The analyzer crashes on a catalog that has one, so the text is read here."""

from __future__ import annotations

import re

from bq_emulator.model import RefreshMaterializedView
from bq_emulator.sql.translate.context import unsupported
from bq_emulator.sql.translate.names import Names

_CALL = re.compile(r"(?:\s|/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)*CALL\s+(?P<call>.*)", re.IGNORECASE | re.DOTALL)
_REFRESH = re.compile(
    r"""`?BQ`?\s*\.\s*`?REFRESH_MATERIALIZED_VIEW`?\s*\(\s*(?P<quote>['"])(?P<path>[^'"]+)(?P=quote)\s*\)[\s;]*""",
    re.IGNORECASE,
)


def refresh(sql: str, names: Names) -> RefreshMaterializedView | None:
    """CALL BQ.REFRESH_MATERIALIZED_VIEW('project.dataset.view'); None for a statement that is no CALL.

    Raises:
        BigQueryError: notImplemented for a CALL of another procedure.
    """
    call = _CALL.fullmatch(sql)
    if call is None:
        return None
    found = _REFRESH.fullmatch(call["call"])
    if found is None:
        raise unsupported("CALL of a procedure other than BQ.REFRESH_MATERIALIZED_VIEW")
    return RefreshMaterializedView("CALL", names.table(found["path"].replace("`", "").split(".")))
