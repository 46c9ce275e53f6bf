"""What is wrong, told once: findings, the channels they go by, and which of them are still open.

Nothing here imports Airflow, so that an alert can leave when Airflow is what is broken.
"""
