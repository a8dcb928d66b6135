# What can be done here. `make` alone lists it.

PYTHON ?= python3
PORT ?= 5000
BIN = .venv/bin
export PORT

.DEFAULT_GOAL := help
.PHONY: help run serve test test-product test-sandbox check check-peers prove lint types migrations css brand upgrade bench bench-og bench-verify lock base dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: base ## start everything on this machine (PORT=8000 for another port)
	@$(BIN)/python -E bin/start

serve: base ## the same under gunicorn with two workers
	@$(BIN)/python -E bin/start --serve

test: dev ## run the starter's tests, on SQLite and without the long ones
	@$(BIN)/python -m pytest -n 2 -m "not thorough and not postgres and not browser"

test-product: dev ## run the tests of product/
	@$(BIN)/python -m pytest product || [ $$? -eq 5 ]  # 5: no tests yet

test-sandbox: dev ## run the tests of the sandbox
	@$(BIN)/python -m pytest -n 2 sandbox/tests

check: dev lint types migrations css-current brand-current test-product test-sandbox ## everything that CI checks
	@$(BIN)/python -m pytest -n 2

check-peers: dev ## the official CLI against the sandbox, stripe-mock against us; see sandbox/README.md
	@$(BIN)/python -m tests.peers

lint: dev ## ruff and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PYTHONPATH=.:sandbox $(BIN)/lint-imports --no-cache
	@$(BIN)/python bin/layers --check

types: dev ## mypy --strict
	@$(BIN)/mypy

prove: dev ## 20,000 lives and all orders of events: an hour or two, goes on where it was
	@$(BIN)/python -m tests.billing.prove

migrations: dev ## up, down, up again, and no difference from the models
	@$(BIN)/python -m pytest -q tests/test_migrations.py

css: ## rebuild the stylesheet (needs Node)
	@assets/build.sh

css-current: ## fail when the committed stylesheet is not what its sources give
	@assets/build.sh --check

brand: dev ## after a change of product/brand.toml or its logo: icons, pictures of the home page
	@$(BIN)/python assets/brand.py
	@for script in $(wildcard product/tests/pictures.py product/*/tests/pictures.py); do \
		PYTHONPATH=.:sandbox $(BIN)/python $$script || exit 1; done

brand-current: dev
	@$(BIN)/python assets/brand.py product --check

upgrade: ## take over the starter's next version; see docs/upgrading.md
	@$(PYTHON) -E bin/upgrade

bench: dev ## what requests and the sandbox cost, in CPU time and as ratios
	@$(BIN)/python bench/pages.py
	@cd sandbox && ../$(BIN)/python -m tests.bench

bench-og: dev ## cards, beside @vercel/og and takumi-js where Node is there
	@bench/og/run.sh

bench-verify: dev ## comparing and mending 100,000 subscribers: time, memory, calls (half an hour)
	@$(BIN)/python bench/verify.py

lock: ## renew the hash-pinned requirements (needs uv)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra postgres --extra redis -q -o requirements/base.txt setup.cfg
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --all-extras -q -o requirements/dev.txt -c requirements/base.txt setup.cfg

base:
	@$(PYTHON) -E bin/setup base

dev:
	@$(PYTHON) -E bin/setup dev
