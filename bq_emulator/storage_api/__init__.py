"""The BigQuery Storage Read API over gRPC (cloud.google.com/bigquery/docs/reference/storage/rpc)."""
