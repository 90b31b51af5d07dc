# Every target sets up what it needs. Only Python 3.11+ (with venv) and git have to be there.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-orders judges check format bench fuzz clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "penstock needs Python 3.11 or newer; none was found. Set PYTHON=/path/to/python"; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade "pip>=25.1"

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@$(PIP) install -c constraints.txt --group test
	@touch $@

$(VENV)/.check: $(VENV)/.test
	@$(PIP) install -c constraints.txt --group check
	@touch $@

demo: $(VENV)/.run  ## start a local OSS, upload, abort half-way, resume, compare
	@$(BIN)/penstock demo

test: $(VENV)/.test  ## run the tests
	@$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: $(VENV)/.test  ## run all tests, the long ones too
	@$(BIN)/python -m pytest -n auto

$(VENV)-judges/.done: pyproject.toml | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)-judges
	@$(VENV)-judges/bin/python -m pip --disable-pip-version-check -q install --upgrade "pip>=25.1"
	@$(VENV)-judges/bin/python -m pip --disable-pip-version-check -q install -e . --group judges
	@touch $@

judges:  ## run the official SDKs' own suites: make judges OSS2=CHECKOUT V2=CHECKOUT (one or both)
	@test -n "$(OSS2)$(V2)" || { echo "make judges needs a checkout: OSS2=/path/to/aliyun-oss-python-sdk or V2=/path/to/alibabacloud-oss-python-sdk-v2, or both"; exit 1; }
	@$(MAKE) --no-print-directory $(VENV)-judges/.done
	@$(VENV)-judges/bin/python tests/judges/run_sdk_suites.py $(if $(OSS2),--oss2 $(OSS2)) $(if $(V2),--v2 $(V2)) $(ARGS)

test-orders: $(VENV)/.test  ## the transfer machines through 200,000 random orders of events (2 minutes)
	@$(BIN)/python -m pytest -n auto -m slow tests/transfer

check: $(VENV)/.check  ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.check  ## put the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

$(VENV)-bench/.done: pyproject.toml | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)-bench
	@$(VENV)-bench/bin/python -m pip --disable-pip-version-check -q install --upgrade "pip>=25.1"
	@$(VENV)-bench/bin/python -m pip --disable-pip-version-check -q install -e . --group bench
	@touch $@

bench: $(VENV)-bench/.done  ## measure speed and stopping, beside other clients (minutes)
	@$(VENV)-bench/bin/python bench/throughput.py
	@$(VENV)-bench/bin/python bench/abort.py
	@$(VENV)-bench/bin/python bench/restart.py
	@$(VENV)-bench/bin/python bench/complete.py

SECONDS ?= 60
$(VENV)-fuzz/.done: pyproject.toml | $(BIN)/python
	@$(PYTHON) -m venv $(VENV)-fuzz
	@$(VENV)-fuzz/bin/python -m pip --disable-pip-version-check -q install --upgrade "pip>=25.1"
	@$(VENV)-fuzz/bin/python -m pip --disable-pip-version-check -q install -e . --group fuzz
	@touch $@

fuzz: $(VENV)-fuzz/.done  ## feed the parsers with any bytes, each for SECONDS=60
	@$(VENV)-fuzz/bin/python tests/fuzz/run.py --seconds $(SECONDS)

clean:  ## remove what the other targets made
	@rm -rf $(VENV) $(VENV)-judges $(VENV)-bench $(VENV)-fuzz .fuzz bench/results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
