"""Files given to load jobs, made readable as typed DuckDB queries."""
