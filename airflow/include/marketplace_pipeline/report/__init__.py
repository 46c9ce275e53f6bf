"""A page per run: what came, how long it took and what the tests said, beside the runs before it."""
