# Everything that one does with this checkout. Each target does its own set-up, from a bare checkout on.

SHELL := bash
PYTHON ?= python3
EXPERIMAESTRO_VERSION := 2.7.0

BIN := .venv/bin
STAMP := .venv/.installed
# The real experimaestro (GPL) is run, never imported, so it lives in a venv of its own.
PEER := .venvs/experimaestro
PEER_STAMP := $(PEER)/.installed-$(EXPERIMAESTRO_VERSION)

.PHONY: help venv check format test test-all test-trixie quick demo bench measure svg lock clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) ## Make .venv, with xpm-remote and what development needs

# Debian's python3 has the module venv without what it needs.
NEED_VENV := $(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	{ . tools/engine.sh; XPM_NEEDED_FOR="$(PYTHON) -m venv" xpm_need python3-venv=python3-venv; }

$(STAMP): pyproject.toml requirements/dev.in requirements/dev.txt
	@$(NEED_VENV)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(PEER_STAMP):
	@$(NEED_VENV)
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/pip install --quiet --disable-pip-version-check experimaestro==$(EXPERIMAESTRO_VERSION)
	@touch $@

check: $(STAMP) ## Format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --target=3.8- --violations xpm_remote/workspace

format: $(STAMP) ## Format the code, and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(STAMP) $(PEER_STAMP) ## All tests; with docker, podman, or XPM_TEST_SSH=local; ARGS='tests/model -k merge' runs a part
	@bash tools/test.sh test $(ARGS)

test-all: export XPM_TEST_ALL := 1
test-all: test ## All tests, with every example that they have

test-trixie: ## The quick tests on Debian trixie (Python 3.13, OpenSSH 10), in a container; GOAL=test all of them
	@bash tools/trixie.sh $(or $(GOAL),quick)

quick: $(STAMP) $(PEER_STAMP) ## The tests that need no server and take no time
	@bash tools/test.sh quick $(ARGS)

demo: $(STAMP) $(PEER_STAMP) ## The main job: real jobs on two real SSH servers and here, in the live dashboard
	$(BIN)/python demo/run.py $(ARGS)

bench: $(STAMP) $(PEER_STAMP) ## Our time, CPU and memory as ratios to the peer's; far links (as root), many jobs, the dashboard
	$(BIN)/python benchmarks/compare.py $(ARGS)
	$(BIN)/python benchmarks/far.py
	$(BIN)/python benchmarks/load.py
	$(BIN)/python benchmarks/screen.py

measure: ## The size and the shape of the package
	@$(PYTHON) -m tools.measure

svg: $(STAMP) $(PEER_STAMP) ## The pictures in the README, taken from the demo
	$(BIN)/python demo/run.py --svg docs

lock: ## Pin anew what development needs, with hashes, for the oldest Python that we support and all others
	rm -rf .venvs/lock
	$(PYTHON) -m venv .venvs/lock
	.venvs/lock/bin/pip install --quiet uv
	.venvs/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-strip-extras \
		--no-header --no-annotate --output-file .venvs/lock/dev.txt requirements/dev.in pyproject.toml
	{ sed -n '/^#/p' requirements/dev.txt; cat .venvs/lock/dev.txt; } > .venvs/lock/new.txt
	mv .venvs/lock/new.txt requirements/dev.txt

clean: ## Remove what was made
	rm -rf .venv .venvs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist build
