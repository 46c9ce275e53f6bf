"""Everything that writing needs, imported: for a platform that forks connectors from a process that has done so."""

from destination_bigquery import channel, check, cli, convert, loader, warehouse, writer

__all__ = ["channel", "check", "cli", "convert", "loader", "warehouse", "writer"]
