"""The resolved tree, node kind by node kind, as DuckDB SQL."""
