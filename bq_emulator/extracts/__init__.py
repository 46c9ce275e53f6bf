"""File formats of extract jobs."""
