# The two commands of the README are `make demo` and `make test`; both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check models bench-sim bench-plan fit schemas golden clean
.DEFAULT_GOAL := help

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml compiler/infc/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,server,rtx]'
	$(BIN)/python -m compileall -q compiler
	@touch $@

demo: $(STAMP)  ## Compile a real spec, serve it on the real tritonserver, print the verdict.
	$(BIN)/infc check specs/fashion-mnist/fashion-mnist.infc.yaml
	$(BIN)/infc compile specs/fashion-mnist/fashion-mnist.infc.yaml --output dist --validate

test: $(STAMP)  ## Run every test that this machine can run.
	$(BIN)/ruff format --check compiler tests benchmarks specs
	$(BIN)/ruff check compiler tests benchmarks specs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet

check: $(STAMP)  ## Before every commit: format, lint, types, layers, fast tests.
	$(BIN)/ruff format compiler tests benchmarks specs
	$(BIN)/ruff check compiler tests benchmarks specs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet -m 'not slow and not server'

models: $(STAMP)  ## Fetch and export the larger example models and their data (needs torch: minutes).
	$(BIN)/python specs/fetch_models.py

bench-sim: $(STAMP)  ## Simulated against the real tritonserver; rewrites benchmarks/results/sim_vs_triton.md.
	$(BIN)/python benchmarks/sim_vs_triton.py

bench-plan: $(STAMP)  ## Cold start of `infc plan` against its imports.
	$(BIN)/python benchmarks/plan_speed.py

fit: $(STAMP)  ## Refit the performance model from benchmarks/data; prints leave-out errors.
	$(BIN)/python benchmarks/fit_perf.py

schemas: $(STAMP)  ## Rewrite schemas/ from the code.
	$(BIN)/infc schema --write schemas

golden: $(STAMP)  ## Rewrite snapshots: read the diff.
	$(BIN)/pytest --quiet --snapshot-update

clean:  ## Remove everything that was built here.
	rm -rf $(VENV) .infc dist build specs/dist
