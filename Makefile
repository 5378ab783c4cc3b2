# Each target sets up what it needs; only Python 3.11+ and make are asked for. On Debian, as root, test-cluster installs
# PostgreSQL, Redis and nginx, and test-browser Chromium and npm; test-fhir-server wants Java 17 and Maven.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8080
LOCK := UV_CUSTOM_COMPILE_COMMAND='make lock' .venv-release/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url

.PHONY: demo test lint format bench bench-quick test-fhir-server test-browser test-cql test-cluster elm docs

demo: .venv/ready
	$(BIN)/cds-service demo --port $(PORT)

test: .venv/ready-test
	$(BIN)/python -m pytest -n auto

lint: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cds-service policies check

format: .venv/ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready-test
	$(BIN)/python -m docs.generate
	$(BIN)/python -m docs.conformance

bench: .venv/ready-test .venv-peers/ready
	$(BIN)/python -m bench

bench-quick: .venv/ready-test
	$(BIN)/python -m bench --quick

test-fhir-server: .venv/ready-test
	tests/fhir_server/run.sh

elm: .venv/ready-test elm/node_modules
	$(BIN)/python -m elm

test-cql: .venv/ready-test elm/node_modules
	$(BIN)/python -m pytest tests/cql

# Debian's nodejs and npm are installed where there is no Node and we are root.
elm/node_modules: elm/package.json
	command -v npm > /dev/null || (apt-get update -q && apt-get install -qy --no-install-recommends nodejs npm)
	npm install --prefix elm --no-package-lock --no-audit --no-fund --silent
	touch $@

test-cluster: .venv/ready-test
	tests/cluster/run.sh

# What the image holds, each version with its hashes, for every platform.
lock: .venv-release/ready
	$(LOCK) --extra postgres --extra redis pyproject.toml --output-file docker/requirements.lock
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' | \
	$(LOCK) - --output-file docker/build.lock

# The same as a CycloneDX list.
sbom: .venv-release/ready
	mkdir -p build
	.venv-release/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json docker/requirements.lock
	@echo build/sbom.json

test-browser: .venv/ready-browser
	tests/browser/run.sh

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

.venv/ready: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/ready-test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,postgres,redis]'
	touch $@

# What the service is measured against, in an environment of its own.
.venv-peers/ready: Makefile
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check 'healthchain==0.16.1'
	touch $@

# Tools that make the lock and the list, apart from what they list.
.venv-release/ready: Makefile
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13,<1' 'cyclonedx-bom>=7.5,<8'
	touch $@

.venv/ready-browser: .venv/ready-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,postgres,redis,browser]'
	touch $@
