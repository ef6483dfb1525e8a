# One door for people and CI; the work is in scripts/. Everything built is kept in ~/.cache/cloudxdevai
# (CLOUDXDEVAI_CACHE), so a fresh clone does not start from nothing.

.DEFAULT_GOAL := help
.PHONY: help setup run test build check fmt bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: ## install what building and running needs
	@scripts/setup.sh run

run: ## build what changed and serve it on http://127.0.0.1:8000
	@scripts/run.sh

test: ## every test, in Rust and in a browser
	@scripts/test.sh

build: ## one self-contained release binary at bin/cloudxdevai
	@scripts/setup.sh run
	@scripts/build.sh

check: ## formatting and lints of both halves
	@scripts/setup.sh check
	@scripts/check.sh

fmt: ## format the Rust code
	@cargo fmt --all

bench: ## measure the release binary, each figure beside its bar
	@scripts/bench.sh

clean: ## remove what was built here; the cache stays
	@rm -rf dist bin frontend/js/out end2end/artefacts
