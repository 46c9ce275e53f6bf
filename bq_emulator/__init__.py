"""A BigQuery emulator: Google's own SQL analyzer in front, DuckDB behind."""
