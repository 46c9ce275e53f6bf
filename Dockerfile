# syntax=docker/dockerfile:1
# One image for every service of this repository; docker-compose.yml says which command each runs.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /opt/marketplace
ENV VIRTUAL_ENV=/opt/marketplace/.venv
ENV PATH=/opt/marketplace/.venv/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_LINK_MODE=copy
COPY pyproject.toml requirements.lock ./
# uv itself comes from the lock, too.
RUN python -m venv .venv \
    && awk '/^uv==/ {found = 1} found {print} found && !/\\$/ {exit}' requirements.lock > /tmp/uv.txt \
    && python -m pip install --quiet --no-cache-dir --require-hashes --no-deps -r /tmp/uv.txt
# The lock as constraints: its versions and hashes, without its packages for development. Compiled bytecode makes every
# start of Airflow and dbt a third shorter.
ARG COMPILE_BYTECODE=1
RUN UV_COMPILE_BYTECODE=${COMPILE_BYTECODE} \
    uv pip install --quiet --constraint requirements.lock --requirement pyproject.toml setuptools
COPY . .
# The manifest, from which Airflow draws its graph, is part of the image as the models are; so is the source's decoder,
# though not its compiler.
RUN uv pip install --quiet --no-deps --no-build-isolation --editable . \
    && uv pip install --quiet --constraint requirements.lock ziglang \
    && python -P -m source_postgres.native \
    && uv pip uninstall --quiet ziglang \
    && dbt --quiet --log-level-file none parse --project-dir dbt --profiles-dir dbt

FROM python:${PYTHON_VERSION}-slim-bookworm
# Volumes take over the owner of the folder they are mounted on.
RUN useradd --uid 10001 --user-group --no-create-home marketplace \
    && install -d -o marketplace -g marketplace /var/lib/marketplace/airbyte /var/lib/marketplace/airflow \
       /var/lib/marketplace/bigquery
COPY --from=build /opt/marketplace /opt/marketplace
WORKDIR /opt/marketplace
ENV PATH=/opt/marketplace/.venv/bin:$PATH \
    PYTHONPATH=/opt/marketplace/airflow/config:/opt/marketplace/airflow/include \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    AIRFLOW_HOME=/var/lib/marketplace/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/marketplace/airflow/dags \
    AIRFLOW__COSMOS__CACHE_DIR=/var/lib/marketplace/airflow/cosmos \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/var/lib/marketplace/airflow/logs \
    DBT_PROJECT_DIR=/opt/marketplace/dbt \
    DBT_PROFILES_DIR=/opt/marketplace/dbt \
    DBT_MANIFEST_PATH=/opt/marketplace/dbt/target/manifest.json \
    DBT_TARGET_PATH=/tmp/dbt/target \
    DBT_LOG_PATH=/tmp/dbt/logs
USER 10001:10001
CMD ["local-stack", "--help"]
