"""One row per pipeline run in ``ops.pipeline_runs``: what came, how long it took, what the tests said."""
