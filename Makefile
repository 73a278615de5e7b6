# Everything a newcomer needs; `make help` tells what there is.
# Needs Python >= 3.11 and make. uv and all packages go into .venv; what runs keeps its data in
# ~/.leadflow and Kafka's jars in ~/.cache/leadflow (as root, PostgreSQL's in /var/lib/leadflow).

PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv
RUN := $(VENV)/bin/python -m
ARGS ?=
# Two workers halve the time; in integration tests, which mostly wait, each has its own servers.
WORKERS ?= 2

export UV_PROJECT_ENVIRONMENT := $(VENV)
# Trust what the machine trusts, so that a company's own certificate authority works.
export UV_SYSTEM_CERTS := 1
export UV_NATIVE_TLS := 1
# Hundreds of processes start in a test run: what they import is compiled once, also where
# somebody's image says otherwise.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo up test unit integration endurance endurance-sending endurance-crm check format schemas bench clean

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Install everything into .venv (the other targets do it by themselves)

$(VENV)/.ready: uv.lock pyproject.toml $(wildcard */pyproject.toml */*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "leadflow needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@echo "installing packages into $(VENV)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(VENV)/bin/uv sync --frozen --quiet
	@touch $@

demo: setup ## Run the whole system on embedded Kafka and PostgreSQL with shipped leads (ARGS=--exit ends after the table)
	@$(VENV)/bin/leadflow demo $(ARGS)

up: setup ## The demo without the data
	@$(VENV)/bin/leadflow up $(ARGS)

test: unit integration ## Unit tests, then integration tests on real Kafka and PostgreSQL

unit: setup ## Unit tests and the simulation: no socket, two minutes
	@$(RUN) pytest -q -m "not integration" -n $(WORKERS) $(ARGS)

integration: setup ## Integration tests; LEADFLOW_TEST_KAFKA=container|embedded forces the servers
	@$(RUN) pytest -q -m integration -n $(WORKERS) --dist loadfile --durations=25 $(ARGS)

endurance: setup ## 100,000 leads, two sequencers, random SIGKILLs, 20 minutes (ARGS="--leads 2000 --kills 5" for less)
	@$(RUN) tests.endurance $(ARGS)

endurance-sending: setup ## 20,000 messages, two dispatchers, 50 SIGKILLs (ARGS="--messages 2000 --kills 6" for less)
	@$(RUN) tests.endurance.sending $(ARGS)

endurance-crm: setup ## 10,000 leads of ten changes each, two crm-syncs, 40 SIGKILLs (ARGS="--leads 500 --kills 4" for less)
	@$(RUN) tests.endurance.crm $(ARGS)

check: setup ## Lint, types, generated files up to date
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(VENV)/bin/python schemas/generate.py --check

format: setup ## Format the code and mend what can be mended
	@$(RUN) ruff check --fix --quiet .
	@$(RUN) ruff format --quiet .

schemas: setup ## Regenerate the Python side of schemas/
	@$(VENV)/bin/python schemas/generate.py

bench: setup ## Measure everything, 15 minutes (see bench/README.md; ARGS=--small to see that it works)
	@$(VENV)/bin/leadflow bench $(ARGS)

clean: ## Remove the virtual environment and caches (data in ~/.leadflow stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
