"""Everything that reading needs, imported: for a platform that forks connectors from a process that has done so."""

from source_postgres import cdc, cli, slot, sync

__all__ = ["cdc", "cli", "slot", "sync"]
