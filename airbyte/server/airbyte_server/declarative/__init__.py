"""Low-code sources: an HTTP API described by one YAML file, read by ``airbyte-cdk`` in an environment of its own."""
