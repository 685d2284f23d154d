# The console's commands; `make help` lists them. They need Python 3.11 or newer and make, and install the rest in .venv.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:

# For tools that load the settings and start nothing: no secret, no server, nothing of var/.
OFFLINE := OPSCONSOLE_VAR=/nowhere SECRET_KEY=offline-and-never-served REDIS_URL=redis+socket:///nowhere/redis.sock \
	DATABASE_URL=sqlite://:memory:
# What `manage.py check --deploy` must pass under.
PRODUCTION := OPSCONSOLE_VAR=/nowhere SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" DEBUG=off HTTPS=on \
	ALLOWED_HOSTS=console.example.com CSRF_TRUSTED_ORIGINS=https://console.example.com BEHIND_PROXY=on \
	REDIS_URL=rediss://:password@redis.example.com:6379/0 \
	DATABASE_URL=postgres://console:password@database.example.com:5432/console
COMPILE := .venv/lock/bin/pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## List these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; \
		do printf '  make %-15s %s\n' "$$name" "$$text"; done

.PHONY: up
up: .venv/.base ## Start the console: Redis, database, web, worker, beat, recorder (PORT=8001, REDIS_URL, DATABASE_URL)
	@exec $(BIN)/python -m opsconsole.up

.PHONY: install
install: .venv/.base ## Make .venv with all that the console needs, and start nothing

.PHONY: admin
admin: .venv/.base ## Give the user admin a new password and print it once
	@exec $(BIN)/python manage.py reset_admin

.PHONY: test
test: lint unit integration e2e ## Everything that must pass before a change is taken

.PHONY: lint
lint: .venv/.dev ## Style, types, layers, migrations, security settings
	@.ci/timed ruff $(BIN)/ruff check .
	@.ci/timed format $(BIN)/ruff format --check .
	@$(OFFLINE) .ci/timed mypy $(BIN)/mypy
	@.ci/timed layers $(BIN)/lint-imports
	@$(OFFLINE) .ci/timed migrations $(BIN)/python manage.py makemigrations --check --dry-run
	@$(PRODUCTION) .ci/timed deploy $(BIN)/python manage.py check --deploy --fail-level WARNING

.PHONY: unit
unit: .venv/.dev ## Tests without database and processes
	@.ci/timed unit $(PYTEST) -q tests/unit

.PHONY: integration
integration: .venv/.dev ## Tests with a database (SQLite, or TEST_DATABASE_URL)
	@.ci/timed integration $(PYTEST) -q -n 2 tests/integration

.PHONY: e2e
e2e: .venv/.dev ## Tests with real Redis, worker, beat, recorder, and a browser where Chromium is (three stacks at once)
	@.ci/timed e2e $(PYTEST) -q -n 3 --dist loadfile --no-loadscope-reorder --durations=12 tests/e2e $(LONG:%=--ignore %)

# They wait for minutes of a worker's life, or start a second console or program.
LONG := tests/e2e/test_one_name.py tests/e2e/test_two_databases.py tests/e2e/test_outside_django.py
.PHONY: e2e-long
e2e-long: .venv/.dev ## The longest tests with real processes: workers of one name, two databases on one Redis, no Django
	@$(PYTEST) -q $(LONG)

ELSEWHERE := untrusted_redis redis_refuses hostile_data readable form_files form_fields form_fill form_guard library_web_check
.PHONY: test-postgres
test-postgres: .venv/.dev ## The integration tests again, on a PostgreSQL of their own
	@# Query plans are asserted there: they must not depend on when autovacuum comes by.
	@# What Redis holds, and what pages hide or ask for, is no database's matter; `make hostile` runs there by itself.
	@POSTGRES_OPTIONS="-c autovacuum=off" .ci/timed postgres .ci/with-postgres $(PYTEST) -q tests/integration \
		$(ELSEWHERE:%=--ignore tests/integration/test_%.py)

.PHONY: chaos
chaos: .venv/.dev ## Thousands of runs under thirty faults, three books compared (CHAOS_ON=postgresql, CHAOS_SEED=42; ten minutes)
	@$(BIN)/python -m tests.chaos

BENCHES := history worker ingest queues workers live_cost
.PHONY: bench
bench: $(addprefix bench-,$(BENCHES)) ## Measure beside the alternatives, about an hour; some of it: make bench-history, bench-worker, …

# Each prints a table and leaves it as JSON in var/; what compares databases takes a PostgreSQL of its own.
.PHONY: $(addprefix bench-,$(BENCHES))
bench-history: .venv/.dev
	@$(BIN)/python -m tests.bench.history
bench-worker: .venv/.dev
	@mkdir -p var && .ci/with-postgres $(BIN)/python -m tests.bench.worker var/bench-worker.json
bench-ingest: .venv/.dev
	@mkdir -p var && $(BIN)/python -m tests.bench.ingest var/bench-ingest-sqlite.json
	@.ci/with-postgres $(BIN)/python -m tests.bench.ingest var/bench-ingest-postgresql.json
bench-queues bench-workers bench-live_cost: bench-%: .venv/.dev
	@mkdir -p var && $(BIN)/python -m tests.bench.$* var/bench-$*.json

.PHONY: guarantee
guarantee: .venv/.dev ## The state machine of the guarantee, deeper (GUARANTEE_EXAMPLES=1000)
	@GUARANTEE_EXAMPLES=$(or $(GUARANTEE_EXAMPLES),1000) $(PYTEST) -q tests/integration/guarantee

.PHONY: hostile
hostile: .venv/.dev ## Every table and every key of Redis full of hostile data, every address opened; all values
	@HOSTILE=large $(PYTEST) -q -n 2 tests/integration/test_hostile_data.py tests/integration/test_untrusted_redis.py
	@# One transaction over every table and thousands of savepoints takes more locks than PostgreSQL keeps room for.
	@HOSTILE=large POSTGRES_OPTIONS="-c max_locks_per_transaction=1024" .ci/with-postgres $(PYTEST) -q -n 2 \
		tests/integration/test_hostile_data.py

.PHONY: races
races: .venv/.dev ## 500 double clicks, 500 races of two people for one retry, 500 for one schedule (RACES=500)
	@RACES=$(or $(RACES),500) $(PYTEST) -q tests/e2e/test_races.py

.PHONY: bite
bite: .venv/.dev ## Take the guarantee out, a part at a time: each time a test must turn red
	@$(BIN)/python -m tests.bite

.PHONY: celery-suite
celery-suite: .venv/.dev ## Celery's own integration tests, with plain Redis results and with ours (half an hour)
	@mkdir -p var && $(BIN)/python -m tests.celery_suite

.PHONY: differential
differential: .venv/.dev ## Generated messages to a worker of Celery's and to ours (DIFFERENTIAL_MESSAGES=1200, DIFFERENTIAL_SEED=1)
	@$(BIN)/python -m tests.differential

.PHONY: soak
soak: .venv/.dev ## Two thousand tasks of all kinds, compared with the journal that they write (SOAK_ROUNDS=40)
	@$(BIN)/python -m tests.soak

.PHONY: foreign
foreign: .venv/.dev ## The console in foreign projects of every kind that docs/integrate.md names
	@$(PYTEST) -q tests/foreign

.PHONY: matrix
matrix: .venv/.dev ## Each Python that is here with its Djangos, Celerys and Unfolds: unit tests, foreign projects, a browser
	@$(BIN)/python -m tests.matrix

.PHONY: redis-kinds
redis-kinds: .venv/.dev ## The console over TLS, an ACL user, a socket, and sentinels that fail over amid 1,000 runs; needs redis-server
	@$(PYTEST) -q tests/redis_kinds

.PHONY: lock
lock: .venv/.base ## Lock requirements/*.in anew, with hashes
	@test -x .venv/lock/bin/pip-compile || { $(BIN)/python -m venv .venv/lock && .venv/lock/bin/pip install -q pip-tools; }
	@$(COMPILE) --output-file requirements/base.txt requirements/base.in
	@$(COMPILE) --constraint requirements/base.txt --output-file requirements/dev.txt requirements/dev.in

.PHONY: clean
clean: ## Remove .venv and what tools cached; var/ with its data stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- .venv: made once. A stamp is newer than the lock file that it stands for, so a changed lock installs again. ---
# In a folder that was moved, or with a Python that is gone, no stamp counts.
ifneq ($(shell $(BIN)/python -c pass 2>/dev/null && cat .venv/.place 2>/dev/null),$(CURDIR))
STALE := stale
endif
.venv/.base: requirements/base.txt $(STALE)
	@PYTHON='$(PYTHON)' requirements/install base
.venv/.dev: requirements/dev.txt $(STALE)
	@PYTHON='$(PYTHON)' requirements/install dev
	@touch .venv/.base
.PHONY: stale
