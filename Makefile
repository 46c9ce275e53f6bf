# The whole platform on one machine. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Every command sees the addresses and credentials of the stack, as its services do.
STACK := $(BIN)/local-stack

.DEFAULT_GOAL := help
.PHONY: help run rebuild up down status test test-containers check lock watch octavia dbt docs simulate compose-env preflight impact lint-sql hooks clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.built ## Do the whole job: start the services, sync, transform, show the headline numbers
	@$(STACK) run

rebuild: $(VENV)/.built ## Build models or days again, without a sync: make rebuild ARGS="--select fct_orders+"
	@$(STACK) rebuild $(ARGS)

up: $(VENV)/.built ## Start the services without running the pipeline
	@$(STACK) up

status: $(VENV)/.built ## Show the services
	@$(STACK) status

down: $(VENV)/.built ## Stop the services; their data stays in .local/
	@$(STACK) down

test: $(VENV)/.built ## Run the suite, on ports and folders of its own; see also test-containers
	@$(MAKE) --no-print-directory --jobs=2 check browser analyzer
	@$(BIN)/pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder -m "not containers"

test-containers: $(VENV)/.built ## Run what the image runs, by the compose file, without Docker (three minutes)
	@$(BIN)/pytest -m containers

check: lint types ## Lint and type-check

lint: $(VENV)/.built
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/yamllint --strict .

types: $(VENV)/.built
	@$(BIN)/mypy

# What tests would wait for, while the types are checked.
browser: $(VENV)/.built
	@$(BIN)/python tests/support/chromium.py

analyzer: $(VENV)/.built
	@$(BIN)/python -P -c 'from bq_emulator.sql.wasm import compiled_analyzer; compiled_analyzer()'

lint-sql: $(VENV)/.built ## Lint the models; the stack must be up, for macros ask the warehouse
	@$(STACK) exec sh -c 'cd dbt && sqlfluff lint models snapshots --disable-progress-bar'

hooks: $(VENV)/.built ## Check what is committed: install the pre-commit hooks
	@$(BIN)/pre-commit install --install-hooks

octavia: $(VENV)/.built ## Connections as code against the stack's Airbyte: make octavia ARGS=plan
	@$(STACK) exec octavia --directory airbyte $(ARGS)

dbt: $(VENV)/.built ## dbt against the stack's warehouse: make dbt ARGS="build --select fct_orders"
	@$(STACK) exec --needs bigquery dbt $(ARGS)

docs: $(VENV)/.built ## Write dbt's documentation and serve it on a free port, until Ctrl-C
	@$(STACK) exec --needs bigquery dbt --quiet docs generate
	@port=$${PORT:-$$($(BIN)/python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')}; \
		echo "http://127.0.0.1:$$port"; \
		$(STACK) exec dbt --quiet docs serve --no-browser --host 127.0.0.1 --port $$port

simulate: $(VENV)/.built ## Let the demo marketplace live on: make simulate DAYS=3
	@$(STACK) exec source-db simulate --days $(or $(DAYS),1)

watch: $(VENV)/.built ## Look once, from outside, whether Airflow lives, runs come and data is young; alert if not
	@$(STACK) exec python -P -m marketplace_pipeline.watch

preflight: $(VENV)/.built ## Check that each configured service can be used: make preflight ARGS=bigquery
	@$(STACK) preflight $(ARGS)

impact: $(VENV)/.built ## What a change does to models, marts and connections: make impact BASE=main
	@$(STACK) impact --base $(or $(BASE),main) $(ARGS)

compose-env: ENV_FILE = $(or $(LOCAL_STACK_ENV_FILE),.env)
compose-env: $(VENV)/.built ## Add the secrets that docker-compose.yml needs to .env, unless they are there
	@touch $(ENV_FILE) && test -f $(ENV_FILE) && chmod 600 $(ENV_FILE)
	@$(STACK) compose-env >> $(ENV_FILE)

# Versions that have wheels only: what has none needs a compiler on every machine that installs.
lock: $(VENV)/.built ## Resolve the dependencies again into requirements.lock
	@$(BIN)/uv pip compile --quiet --no-build --universal --generate-hashes --no-header --extra dev \
		--python-version 3.11 pyproject.toml --output-file requirements.lock
	@cd airbyte/server/airbyte_server/declarative && $(abspath $(BIN))/uv pip compile --quiet --no-build --universal \
		--generate-hashes --no-header --python-version 3.11 requirements.in --output-file requirements.lock

clean: down ## Stop the services and delete all their data
	@rm -rf .local

# uv itself comes from the lock, too. Bytecode is compiled once here: without it every start of Airflow and dbt is a
# third slower.
$(VENV)/.built: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || \
		{ echo "Python 3.11 to 3.14 is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name another: make PYTHON=python3.12 …"; exit 1; }
	@echo "Installing into $(VENV) (about a minute; only when requirements.lock has changed)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -P -m source_postgres.native
	@touch $@
