"""Airbyte destination connector for BigQuery."""
