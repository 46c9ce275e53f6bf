"""BigQuery's REST API, version 2: one module a resource."""
