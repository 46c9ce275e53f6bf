"""Embedded Airbyte: an API-compatible server that runs connectors as local processes."""

__version__ = "0.1.0"
