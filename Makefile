# Every target does its own set-up: a virtual environment from the lock file, nothing else.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=
ORDERS ?= 1000000
SEED ?= 1
SEEDS ?= 2000
export OPENBLAS_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help setup run test bench soak overload chaos simulate fuzz oracle conformance check format lock clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

# pip, not uv, installs: it follows the index that the machine is configured with (docs/adr/0002).
$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed; set PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(STAMP) ## make the virtual environment

run: $(STAMP) ## run the whole system; ARGS="--replay DIR --speed 10 --for 60"
	@exec $(BIN)/krator run $(ARGS)

test: $(STAMP) ## all tests, with real servers and real processes; ARGS="tests/core -x" for some
	@exec $(BIN)/python -m $(if $(ARGS),pytest $(ARGS),tests.side_by_side)

bench: $(STAMP) ## measure, about 5 minutes; JSON to KRATOR_BENCH_OUT; ARGS="--quick" or "--only hop"
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

soak: $(STAMP) ## kill and stop random processes under load; SECONDS=600 SEED=1
	@exec $(BIN)/python -m tests.soak --secs $(or $(SECONDS),600) --seed $(SEED)

overload: $(STAMP) ## flood a feed of which one strategy is slow, until TRADES=500000 were left out for it
	@exec $(BIN)/python -m tests.overload --trades $(or $(TRADES),500000) --limit-secs 1800

chaos: $(STAMP) ## break everything while it trades, then check; SECONDS=600 SEED=1; JSON to KRATOR_CHAOS_OUT
	@exec $(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),600) --seed $(SEED)

simulate: $(STAMP) ## simulate days of the order and risk actors; SEEDS=2000 from SEED=1
	@exec $(BIN)/python -m tests.simulation --seeds $(SEEDS) --seed $(SEED)

oracle: $(STAMP) ## put ORDERS=1000000 orders from SEED=1 to risk and to plain arithmetic; JSON to KRATOR_ORACLE_OUT
	@exec $(BIN)/python -m tests.oracle --orders $(ORDERS) --seed $(SEED)

fuzz: $(STAMP) ## give every codec wrong frames, led by coverage; SECONDS=60
	@exec $(BIN)/python tests/fuzz/codecs.py $(or $(SECONDS),60)

# In this order, because what the system's test leaves in this process may not come before a fork.
conformance: $(STAMP) ## write docs/CONFORMANCE.md from a run of the supervisors' tests
	PYTHONPATH=tests/supervisors KRATOR_CONFORMANCE_TABLE=docs/CONFORMANCE.md $(BIN)/python -m pytest \
		-p conformance_table -p no:randomly tests/supervisors tests/system/test_kill.py

check: $(STAMP) ## format, lint, types, architecture, Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

format: $(STAMP) ## write the format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP) ## renew the lock files from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate -c requirements.lock pyproject.toml -o requirements-run.lock

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz
