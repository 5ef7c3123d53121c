# Targets explain themselves: the text after `##` is what bare `make` prints.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
HOST ?= 127.0.0.1
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: fuzz soak study help serve install test check compose-test bench bench-rivals clean

help: ## Explain the targets (this)
	@echo "Peephole predicts the learning curves of CNNs before they are trained."; echo
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serving: pyproject.toml | $(BIN)/python
	@echo "Installing the service into $(VENV) (once; some 200 MB)"
	$(PIP) install -e '.[cpu]'
	@touch $@

$(VENV)/.dev: pyproject.toml client/pyproject.toml | $(BIN)/python
	@echo "Installing the service, the client, the command line, PyTorch and the development tools into $(VENV) (some 2 GB, minutes)"
	$(PIP) install -e '.[dev]' -e ./client
	@touch $@ $(VENV)/.serving

serve: $(VENV)/.serving ## Start the service on HOST:PORT (127.0.0.1:8000) with the shipped predictors
	@echo "http://$(HOST):$(PORT) - open it in a browser; the API: http://$(HOST):$(PORT)/docs"
	@HOST=$(HOST) PORT=$(PORT) exec $(BIN)/python -m service

install: $(VENV)/.dev ## Install everything for development into .venv: service, client, command line, PyTorch, checks
	@echo "Installed; $(BIN)/peephole --help lists the commands"

test: $(VENV)/.dev ## Run the tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --cov --cov-report=
	@$(BIN)/coverage report --format=total | sed 's/^/coverage (%): /'

check: $(VENV)/.dev ## Lint, type-check and check the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

compose-test: $(VENV)/.dev ## Build the image, start docker-compose.yml and try it; needs a Docker engine
	PEEPHOLE_TEST_COMPOSE=1 $(BIN)/python -m pytest tests/deploy/test_compose.py -v

study: $(VENV)/.dev ## Measure the shipped predictors; write the tables and pictures of docs/results.md (a minute)
	$(BIN)/peephole report

bench-rivals:
	@PYTHON=$(PYTHON) sh benchmarks/rivals/install.sh

bench: $(VENV)/.dev bench-rivals ## Measure the service beside other servers (10 minutes, a quiet machine); write docs/benchmarks.md
	$(BIN)/python -m benchmarks.bench
	$(BIN)/python -m benchmarks.page

fuzz: $(VENV)/.dev ## Throw at least 10,000 generated requests at the live service (minutes)
	$(BIN)/python -m tests.service.fuzz

soak: $(VENV)/.dev ## Load the service for 10 minutes and watch memory and descriptors
	$(BIN)/python -m tests.service.soak --minutes 10

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info client/*.egg-info .coverage*
