# Run `make` to list the targets.

PYTHON ?= python3
PORT ?= 5000
BIN = .venv/bin
export PORT
# pyenv would insist on the version in .python-version, which is for platforms. Here, any Python that
# is new enough will do.
export PYENV_VERSION ?= $(shell pyenv global 2>/dev/null | paste -sd : -)

.DEFAULT_GOAL := help
.PHONY: help run serve test test-product test-sandbox check check-peers prove stack chaos load try-debian lint types migrations css compress brand upgrade bench bench-og bench-verify bench-scale shots lock base dev

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

run: base ## start everything on this machine (PORT=8000 for another port)
	@$(BIN)/python -E bin/start

serve: base ## like run, but under gunicorn with two workers
	@$(BIN)/python -E bin/start --serve

test: dev ## run the starter's tests on SQLite, without the slow ones
	@$(BIN)/python -m pytest -n 2 -m "not thorough and not postgres and not browser"

test-product: dev ## run the tests of product/
	@$(BIN)/python -m pytest product || [ $$? -eq 5 ]  # 5: no tests yet

test-sandbox: dev ## run the tests of the sandbox
	@$(BIN)/python -m pytest -n 2 sandbox/tests

check: dev lint types migrations css-current brand-current test-product test-sandbox ## run everything that CI checks
	@$(BIN)/python -m pytest -n 2

try-debian: ## try deploy/debian in a clean Debian root (needs root and debootstrap)
	@tests/deploy/debian.sh

check-peers: dev ## check against the Stripe CLI and stripe-mock (sandbox/README.md)
	@$(BIN)/python -m tests.peers

lint: dev ## run ruff and check the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PYTHONPATH=.:sandbox $(BIN)/lint-imports --no-cache
	@$(BIN)/python bin/layers --check

types: dev ## run mypy --strict
	@$(BIN)/mypy

prove: dev ## run 20,000 random scenarios and all orders of events (hours; resumable)
	@$(BIN)/python -m tests.billing.prove

stack: dev ## run everything as deployed: PostgreSQL, Redis, nginx, two hosts (needs Debian's packages)
	@$(BIN)/python -m tests.stack

chaos: dev ## drive faults against the stack and print what became of it (half an hour)
	@$(BIN)/python -m tests.stack.chaos

load: dev ## ten minutes of mixed traffic against the stack
	@$(BIN)/python -m tests.stack.load

migrations: dev ## test migrations up, down and up, and compare them with the models
	@$(BIN)/python -m pytest -q tests/test_migrations.py

css: dev ## rebuild the stylesheet (needs Node) and compress static files
	@assets/build.sh
	@$(BIN)/python assets/compress.py

compress: dev ## compress static files, after a change of one
	@$(BIN)/python assets/compress.py

css-current: dev ## fail if the stylesheet or a compressed file is out of date
	@assets/build.sh --check
	@$(BIN)/python assets/compress.py --check

brand: dev ## redraw icons and screenshots after a change of brand.toml or the logo
	@$(BIN)/python assets/brand.py
	@for script in $(wildcard product/tests/pictures.py product/*/tests/pictures.py); do \
		PYTHONPATH=.:sandbox $(BIN)/python $$script || exit 1; done

brand-current: dev
	@$(BIN)/python assets/brand.py product --check

upgrade: ## merge the starter's next version (docs/upgrading.md)
	@$(PYTHON) -E bin/upgrade

bench: dev ## measure CPU time of requests and of the sandbox
	@PYTHONPATH=.:sandbox $(BIN)/python -m bench.pages --database $(or $(DATABASE),sqlite)
	@cd sandbox && ../$(BIN)/python -m tests.bench

bench-og: dev ## benchmark share cards, with @vercel/og and takumi-js if Node is installed
	@bench/og/run.sh

bench-verify: dev ## benchmark verify and sync with 100,000 subscribers (half an hour)
	@$(BIN)/python bench/verify.py

bench-scale: dev ## compare a thousand users with a million on PostgreSQL (ten minutes)
	@PYTHONPATH=.:sandbox $(BIN)/python -m bench.scale --users $(or $(USERS),1000000)

shots: dev ## take screenshots of the admin pages
	@PYTHONPATH=.:sandbox $(BIN)/python -m tests.admin.shots

lock: ## update the hash-pinned requirements (needs uv)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra postgres --extra redis -q -o requirements/base.txt setup.cfg
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --all-extras -q -o requirements/dev.txt -c requirements/base.txt setup.cfg

base:
	@$(PYTHON) -E bin/setup base

dev:
	@$(PYTHON) -E bin/setup dev
