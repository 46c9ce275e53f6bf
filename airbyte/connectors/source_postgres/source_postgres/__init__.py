"""Airbyte source connector for Postgres."""
