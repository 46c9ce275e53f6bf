"""CALL of BigQuery's own procedures. The analyzer crashes on a catalog that has one, so the text is read here."""

from __future__ import annotations

import re

from bq_emulator.model import RefreshMaterializedView
from bq_emulator.sql.translate.names import Names

_REFRESH = re.compile(
    r"""\s*CALL\s+`?BQ`?\s*\.\s*`?REFRESH_MATERIALIZED_VIEW`?\s*\(\s*(?P<quote>['"])(?P<path>[^'"]+)(?P=quote)\s*\)\s*;?\s*""",
    re.IGNORECASE,
)


def refresh(sql: str, names: Names) -> RefreshMaterializedView | None:
    """CALL BQ.REFRESH_MATERIALIZED_VIEW('project.dataset.view'); None for any other statement."""
    found = _REFRESH.fullmatch(sql)
    if found is None:
        return None
    return RefreshMaterializedView("CALL", names.table(found["path"].replace("`", "").split(".")))
