# The repo's commands. Each command needs only Python 3.11 or newer, and installs its requirements into a venv.

PYTHON ?= python3
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE :=  # keep compiled files: tests start hundreds of processes

.PHONY: demo test test-all test-matrix test-pythons test-fleet check bench bench-quick bench-redaction prices

demo: export LANGFUSE_SESSION_ID := demo-$(shell date -u +%Y-%m-%dT%H-%M-%SZ)
demo: export BEGAN := $(shell date -u +%Y-%m-%dT%H:%M:%SZ)
demo: .venv/.installed  ## replays a recorded feed through an in-process model, then shows the decisions
	@$(BIN)/python -m src.agents.demo
	@echo
	@$(BIN)/python -m src.observability decisions --agent LiquidationAgent --since $$BEGAN
	@echo
	@echo "🤖 Next: source .venv/bin/activate"
	@echo "   python -m src.observability trace last --full       # the prompt and the answer behind one decision"
	@echo "   python -m src.observability decisions --report      # hits, profit, confidence against outcome"
	@echo "   python -m src.observability costs --by model        # calls, errors, latency, spend"
	@echo "   python -m src.observability serve                   # the live page, at http://127.0.0.1:8020"

test: export PYTEST_ADDOPTS := -n logical --dist worksteal
test: export PYTEST_DEBUG_TEMPROOT := $(wildcard /dev/shm)
test: .venv/.installed-dev  ## the quick tests, on every core, files kept in memory; ARGS="-k journal" selects tests
	$(BIN)/pytest tests/ $(ARGS)

test-all: test  ## quick and slow tests: long tests in parallel; tests that measure time or kill processes, singly
	$(BIN)/pytest tests/ -m "slow and long" -n 2 $(ARGS)
	$(BIN)/pytest tests/ -m "slow and not long" $(ARGS)

bench: .venv/.installed-dev  ## compares the time that tracing takes with OpenTelemetry and Langfuse
	@$(BIN)/python -m benchmarks.bench

bench-quick: .venv/.installed-dev
	@$(BIN)/python -m benchmarks.bench --quick

bench-redaction: .venv/.installed-dev  ## compares the time that redaction takes with one plain regular expression
	@$(BIN)/python -m benchmarks.bench_redaction

prices: .venv/.installed-dev  ## rebuilds the price table from the newest genai-prices
	@$(BIN)/python -m pip install --quiet --upgrade genai-prices
	@$(BIN)/python -m src.observability.recording.make_prices

test-matrix: .venv/.installed-dev  ## every observed method in old and new SDKs; ARGS=--ends: oldest and newest only
	$(BIN)/python tests/matrix/run.py $(ARGS)

test-pythons: export PYTEST_ADDOPTS := -n logical
test-pythons:  ## the package's quick tests on Python 3.10 and the newest Python found
	@$(PYTHON) tests/pythons.py $(ARGS)

test-fleet: .venv/.installed-dev  ## a small adopted repo, with pinned and newest SDKs; ARGS=--ends skips some pins
	$(BIN)/python tests/fleet/run.py $(ARGS)

check: .venv/.installed-dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/.installed: requirements.txt requirements-local.txt $(wildcard src/observability/requirements*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "❌ Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "🌙 Installing into .venv (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-local.txt
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
