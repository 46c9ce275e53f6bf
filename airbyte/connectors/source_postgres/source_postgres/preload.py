"""Everything that reading needs, imported: for a platform that forks connectors from a process that has done so."""

import sys

from source_postgres import cli

sys.meta_path.insert(0, cli.WithoutPandas())

from source_postgres import cdc, slot, sync  # noqa: E402

__all__ = ["cdc", "cli", "slot", "sync"]
