# What a person does with this repository; `make` alone lists it. Needs GNU make and Python 3.11 or newer, nothing else.

PORT ?= 8000
DATA ?=
PYTHON ?= python3
# Test processes side by side; tests of one module stay together, because they share a running platform. 0: none.
WORKERS ?= 2
# More for pytest: make test ARGS="tests/bookings -k cancel"
ARGS ?=

export PYTHON DEMO LOOK VOLUMES ENGINE
# Where bytecode may not be written every start compiles everything again, which takes longer than all the rest.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

.DEFAULT_GOAL := help
.PHONY: help up test test-all lint fmt bench docs dashboards images compose-up compose-down lock clean FORCE

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

up: .venv/.ready ## Start Commonry: PORT=8000, DATA=folder of the database
	@exec $(BIN)/commonry up --port "$(PORT)" $(if $(DATA),--data "$(DATA)")

test: .venv/.ready-dev .venv/.ready-deploy ## Run the tests, but for the long ones: WORKERS=2, ARGS="more for pytest"
	@scripts/system-packages
	@$(PYTEST) -m "not long" $(ARGS)

test-all: .venv/.ready-dev .venv/.ready-deploy ## Run every test
	@scripts/system-packages
	@$(PYTEST) $(ARGS)

lint: .venv/.ready-dev ## Check style, types, import directions, our own rules, migrations and docs
	@scripts/lint

fmt: .venv/.ready-dev ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix-only --quiet . && $(BIN)/ruff format .

bench: .venv/.ready-dev ## Measure, where benchmarks/ exists: ARGS="what to measure"
	@if [ -d benchmarks ]; then exec $(BIN)/python -m benchmarks $(ARGS); else echo "benchmarks/ is not there yet"; fi

docs: .venv/.ready-dev ## Write the pages that come from code, then test every page
	@if [ -e tools/docs ] || [ -e tools/docs.py ]; then $(BIN)/python -m tools.docs; fi
	@if [ -d tests/docs ]; then exec $(BIN)/python -m pytest tests/docs $(ARGS); else echo "tests/docs/ is not there yet"; fi

dashboards: .venv/.ready-dev ## Write Grafana's dashboards from tools/dashboards
	@$(BIN)/python -m tools.dashboards

images: ## Build the container image: ENGINE=docker or podman, ARGS="more for build"
	@deploy/compose/build.sh $(ARGS)

compose-up: ## Start every service apart, in containers: DEMO=yes, LOOK=yes (Grafana), ENGINE=podman
	@deploy/compose/run.sh up

compose-down: ## Stop them: VOLUMES=yes removes what they keep
	@deploy/compose/run.sh down

lock: .venv/.ready-dev ## Lock dependencies anew after a change of pyproject.toml: ARGS="--upgrade" takes the newest
	@scripts/lock $(ARGS)

clean: ## Remove what make made here (.venv, caches); never data
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A folder that moved has a .venv that points to where it was.
ifneq ($(shell cat .venv/.ready 2>/dev/null),$(CURDIR))
.venv/.ready .venv/.ready-dev: FORCE
endif

.venv/.ready: requirements.lock pyproject.toml
	@scripts/setup

.venv/.ready-dev: requirements-dev.lock pyproject.toml
	@scripts/setup dev

# Where these cannot be had, the tests that need them say so.
.venv/.ready-deploy: requirements-deploy.lock | .venv/.ready-dev
	@scripts/setup deploy || true
