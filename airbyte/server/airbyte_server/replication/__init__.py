"""Running jobs: records from a source's process to a destination's, state kept, attempts repeated."""
