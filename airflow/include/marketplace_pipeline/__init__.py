"""What the marketplace's DAGs are made of: Airbyte syncs, checks of the raw tables, dbt as tasks."""
