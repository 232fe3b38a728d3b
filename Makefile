# The two commands: `make demo` and `make test`. Both set up what they need in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint fuzz soak bench measure-index elasticsearch lock clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(READY) ## Make the virtual environment .venv, from requirements-dev.lock

$(READY): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: name it as in 'make PYTHON=python3.12 $(MAKECMDGOALS)'"; exit 1; }
	@echo "setting up $(VENV) (once, a minute or two)"
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "the Python module venv is missing: on Debian, apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Run the daemon's job once on an embedded AWS, and look at what came out
	@$(BIN)/python -m demo

test: setup ## Pass all tests, against a real Elasticsearch and moto's AWS
	@$(BIN)/python -m tests.services.elasticsearch
	@$(BIN)/pytest $(TESTS)

lint: setup ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

SECONDS ?= 30

fuzz: setup ## Give the readers files made at random, for SECONDS=30
	@$(BIN)/python -m fuzz --seconds $(SECONDS)

soak: setup ## Kill, mislead and load the daemon for hours; parts: python -m soak --help
	@$(BIN)/python -m soak $(SOAK)

bench: setup ## Measure CPU seconds a million records, beside a plain Python loop
	@$(BIN)/python -m bench

measure-index: setup ## Measure index modes: bytes a document and documents a second (a few minutes)
	@$(BIN)/python -m bench.index_modes

elasticsearch: setup ## Start the tests' Elasticsearch in the foreground
	@$(BIN)/python -m tests.services.elasticsearch run

lock: setup ## Write both lock files anew
	$(BIN)/pip-compile $(LOCK) -o requirements.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --extra demo --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile $(LOCK) --only-build-deps --build-deps-for wheel -o deploy/requirements-build.lock pyproject.toml
	sed -i -E "s/^(atheris==[^ ]+) /\1 ; $(ATHERIS) /" requirements-dev.lock
	sed -i '1i # made by `make lock`' requirements.lock requirements-dev.lock deploy/requirements-build.lock

# Where there is atheris: pip-compile leaves it out of an extra's requirement, and other machines would build it.
ATHERIS = $(shell sed -nE 's/.*"atheris[^;]*; *(.*)",$$/\1/p' pyproject.toml)

LOCK := --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
  --no-header --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

clean: ## Remove what the commands made in here
	rm -rf $(VENV) demo/out bench/out fuzz/out dist
