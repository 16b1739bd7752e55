# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.treadle-installed

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check format layers bench fuzz clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[runtime]' --group dev
	@touch $@

setup: $(STAMP) ## Make .venv with everything pinned

check: setup ## Format, lint, types, layers, generated docs, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m "not slow"

layers: setup ## Import rules between the folders
	$(BIN)/lint-imports

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: setup ## Set up and run every test
	$(BIN)/pytest

clean: ## Remove everything that was made here
	rm -rf $(VENV) .treadle .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
