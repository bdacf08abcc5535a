# `make` alone prints what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
BIN := .venv/bin
# Compiled once, and nothing of it among the sources.
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.venv/pycache
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest
# On every core. Those on hosts wait for half of their time, so there is one more of them than cores
# at once; with many their times would say nothing.
HERE := -q -n auto --dist loadfile
AT_ONCE := $(shell cores=$$(nproc); echo $$((cores < 4 ? cores + 1 : 4)))
ACCEPTANCE := --durations 15 -n $(AT_ONCE) --dist loadfile -m acceptance

.PHONY: help setup demo test check format lint types imports fast acceptance bench-build bench-publish bench-deploy golden lock clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## put debship, fab and all that tests need into .venv (installs what Debian has, as root)
	@.ci/setup

demo: setup ## build, publish and roll a real service across three real hosts, under load
	@$(BIN)/python -m examples.demo

test: setup ## every test, those on real hosts included
	$(PYTEST) $(HERE) -m "not acceptance" tests
	$(PYTEST) $(ACCEPTANCE) tests

check: setup format lint types imports fast ## format, lint, types, imports, fast tests: before each commit

format:
	@$(BIN)/ruff format --check .

lint:
	@$(BIN)/ruff check .

types:
	@$(BIN)/mypy

imports:
	@$(BIN)/lint-imports --no-cache > /tmp/.debship-imports.$$$$ || { cat /tmp/.debship-imports.$$$$; exit 1; }; rm -f /tmp/.debship-imports.$$$$

fast: ## the tests that need no host, without the slow ones: half a minute
	$(PYTEST) $(HERE) -m "not acceptance and not slow" tests

acceptance: setup ## the tests on real hosts alone
	$(PYTEST) $(ACCEPTANCE) tests

bench-publish: setup ## publishing beside reprepro, aptly, apt-ftparchive, pydeb-s3, deb-s3 (DEB_S3=its checkout)
	@$(BIN)/python -m tests.benchmarks.publishing $(ARGUMENTS)

bench-build: setup ## building beside dh-virtualenv, dpkg-deb and docker build (ARGUMENTS="--docker-base ROOT")
	@$(BIN)/python -m tests.benchmarks.building $(ARGUMENTS)

bench-deploy: setup ## rolling beside Ansible with docker, with apt, with pip (ARGUMENTS="--without docker")
	@$(BIN)/python -m tests.benchmarks.deploying $(ARGUMENTS)

golden: setup ## write the golden files anew; read the diff before you commit it
	$(PYTEST) -q tests -m "not acceptance" --update-golden

COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header --python-version 3.11
lock: setup ## resolve the dependencies anew: of development, and of debship's own package
	@$(COMPILE) --group dev pyproject.toml -o tests/requirements.txt
	@$(COMPILE) -c tests/requirements.txt pyproject.toml -o .ci/requirements.txt
	@echo 'hatchling>=1.25' | $(COMPILE) -c tests/requirements.txt - -o .ci/build-requirements.txt

clean: ## take away what make made here
	rm -rf .venv .bench .demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
