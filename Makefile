# From a clone to a running Quix:  make run
# Everything that is checked:      make lint test

PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
DEBIAN := python3-venv wireguard-go wireguard-tools openvpn iproute2 procps btrfs-progs e2fsprogs
UV := .tools/bin/uv
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test lint bench format openapi picture lock packages clean

help: ## Show this list.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: .venv/ready ## Start a server and one local agent; print how to log in.
	$(BIN)/quix demo

test: .venv/ready .tools/packages ## Run every test.
	$(BIN)/pytest -n 3 --dist loadfile

lint: .venv/ready ## Lint, types, layers, dead code, and known holes in dependencies.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock

bench: .venv/ready ## Measure speed and memory, as ratios in one run.
	$(BIN)/python -m bench

format: .venv/ready ## Lay the code out.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: .venv/ready ## Write docs/openapi.json anew.
	$(BIN)/python -m quix.api.openapi > docs/openapi.json

picture: .venv/ready ## Take docs/session.svg anew.
	$(BIN)/python docs/picture.py

lock: $(UV) ## Resolve the dependencies anew into requirements.lock.
	$(UV) pip compile --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --all-extras --group dev --python-version 3.11 pyproject.toml -o requirements.lock

packages: .tools/packages ## Install the Debian packages that tests need.

clean: ## Remove what make has made.
	rm -rf .venv .tools build dist

.venv/ready: $(UV) requirements.lock pyproject.toml
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	VIRTUAL_ENV=.venv $(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --editable .
	@touch $@

$(UV):
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory .tools/packages
	$(PYTHON) -m venv .tools
	.tools/bin/pip install --quiet uv

.tools/packages: Makefile
	@for package in $(DEBIAN); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing Debian packages:$$missing"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends -y $$missing >/dev/null; \
	fi
	@mkdir -p .tools && touch $@
