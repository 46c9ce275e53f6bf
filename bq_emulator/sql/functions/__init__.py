"""Tables from the analyzer's function signatures to DuckDB."""
