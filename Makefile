# The two commands of the README are `make demo` and `make test`; both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo demo-llm vllm test check gpu edge cluster browser models bench bench-llm bench-precision bench-sim bench-vllm bench-plan bench-random fit schemas golden clean
.DEFAULT_GOAL := help

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml compiler/infc/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,server,rtx]'
	$(BIN)/python -m compileall -q compiler
	@touch $@

# 6: the load test was inconclusive, as on a machine whose cores others have. It is printed, with what would settle it.
OR_INCONCLUSIVE := || test $$? -eq 6

demo: $(STAMP)  ## Compile a real spec, serve it on the real tritonserver, print the verdict.
	$(BIN)/infc check specs/fashion-mnist/fashion-mnist.infc.yaml
	$(BIN)/infc compile specs/fashion-mnist/fashion-mnist.infc.yaml --output dist --validate $(OR_INCONCLUSIVE)

# A vLLM that is there already is taken: INFC_VLLM names its command.
VLLM := .venv-vllm
VLLM_STAMP := $(VLLM)/.installed
VLLM_COMMAND := $(or $(INFC_VLLM),$(CURDIR)/$(VLLM)/bin/vllm)

$(VLLM_STAMP): targets/servers/vllm/requirements-cpu.txt targets/servers/vllm/install_cpu.py
	$(PYTHON) targets/servers/vllm/install_cpu.py $(VLLM)
	@touch $@

vllm: $(VLLM_STAMP)  ## Install vLLM for the CPU beside infc (2.5 GB, some minutes).

demo-llm: $(STAMP) $(if $(INFC_VLLM),,$(VLLM_STAMP))  ## Compile a language model, serve it on a real vLLM on the CPU, print the verdict.
	$(BIN)/infc check specs/tiny-llama/tiny-llama.infc.yaml
	INFC_VLLM=$(VLLM_COMMAND) $(BIN)/infc compile specs/tiny-llama/tiny-llama.infc.yaml --output dist --validate $(OR_INCONCLUSIVE)

# The few files that start servers: without them named, all others are read first. Neighbours share what they start.
SERVER_TESTS = $(shell grep -rl --include='test_*.py' 'pytest[.]mark[.]server' tests | sort)

test: $(STAMP)  ## Run every test that this machine can run.
	$(BIN)/ruff format --check compiler tests benchmarks specs
	$(BIN)/ruff check compiler tests benchmarks specs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet --numprocesses auto --dist worksteal -m 'not server'
	$(BIN)/pytest --quiet --numprocesses auto --dist worksteal -m server $(SERVER_TESTS)

check: $(STAMP)  ## Before every commit: format, lint, types, layers, fast tests.
	$(BIN)/ruff format compiler tests benchmarks specs
	$(BIN)/ruff check compiler tests benchmarks specs
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet -m 'not slow and not server'

# Extras of `make gpu`; drop tensorrt where NVIDIA's wheels cannot be had. Without network: PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels.
GPU_EXTRAS ?= dev,server,rtx,gpu,tensorrt
GPU_STAMP := $(VENV)/.installed-gpu

$(GPU_STAMP): $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$(GPU_EXTRAS)]'
	@touch $@

gpu:  ## On a machine with an NVIDIA GPU: its tests, the calibration of the examples, and a report in gpu-report/.
	@for device in /dev/nvidia0 /dev/nvhost-gpu /dev/nvgpu/igpu0 /dev/dxg; do test -e $$device && exit 0; done; \
	echo "make gpu: this machine has no NVIDIA GPU; nothing was run" >&2; exit 1
	@$(MAKE) --no-print-directory $(GPU_STAMP)
	$(BIN)/python benchmarks/gpu_report.py --output gpu-report

# Root, mmdebstrap, qemu-user-static and binfmt-support for the emulated part; without them it says why it is skipped.
edge: $(STAMP)  ## Install, refuse, kill and roll back edge bundles in a plain root and in an emulated arm64 system (an hour).
	INFC_EDGE_ROOT=$(or $(INFC_EDGE_ROOT),$(CURDIR)/.infc/edge) $(BIN)/pytest --quiet -rs tests/edge tests/emit/jetson/device tests/pipeline/test_edge_device.py

# Prometheus: `apt-get download prometheus && dpkg -x prometheus_*.deb DIR`, then INFC_PROMETHEUS=DIR/usr/bin; INFC_VLLM adds a real vLLM.
cluster: $(STAMP)  ## Every combination of Kubernetes objects, every merge of locks, alerts and queries in a real Prometheus (a quarter of an hour).
	INFC_ALL_RELEASES=1 INFC_ALL_MERGES=1 $(BIN)/pytest --quiet -rs tests/emit/kubernetes tests/emit/monitoring tests/emit/autoscaling tests/lock/test_merge.py

browser: $(STAMP)  ## The HTML pages in a real Chromium: axe-core, light and dark, phone and desk (needs npm).
	npm install --silent --prefix .infc/axe axe-core@4.14.1
	INFC_AXE=$(CURDIR)/.infc/axe/node_modules/axe-core/axe.min.js $(BIN)/pytest --quiet -rs tests/browser

models: $(STAMP)  ## Fetch and export the larger example models and their data (needs torch: minutes).
	$(BIN)/python specs/fetch_models.py

bench: $(STAMP)  ## Accuracy of predictions by model class, hardware and precision, and the speed of planning (20 minutes).
	$(BIN)/python benchmarks/fit_perf.py --dry-run
	$(BIN)/python benchmarks/fit_llm.py --dry-run
	$(BIN)/python benchmarks/aic_case.py
	$(BIN)/python benchmarks/plan_speed.py
	$(BIN)/python benchmarks/plan_many.py
	$(BIN)/python benchmarks/plan_repository.py

bench-precision: $(STAMP)  ## Every precision of the example models, measured and built for every SM (half an hour on 2 cores).
	$(BIN)/python benchmarks/precision_matrix.py

bench-sim: $(STAMP)  ## Simulated against the real tritonserver; rewrites benchmarks/results/sim_vs_triton.md.
	$(BIN)/python benchmarks/sim_vs_triton.py

bench-vllm: $(STAMP)  ## Simulated against a real vLLM 0.32 on the CPU, which VLLM_ENV holds (see the file).
	$(BIN)/python benchmarks/sim_vs_vllm.py --vllm-env $(VLLM_ENV)

bench-llm: $(STAMP)  ## A calibrated vLLM server on the CPU: predicted against measured at held-back rates (6 minutes; wants a quiet machine).
	INFC_VLLM=$(VLLM_COMMAND) $(BIN)/python benchmarks/llm_calibrated.py

bench-plan: $(STAMP)  ## Cold start of `infc plan` against its imports.
	$(BIN)/python benchmarks/plan_speed.py

bench-random: $(STAMP)  ## 10,000 random specs: no plan may break a limit of its spec (half an hour on 2 cores).
	$(BIN)/python benchmarks/random_specs.py

fit: $(STAMP)  ## Refit the performance models from benchmarks/data; prints leave-out errors.
	$(BIN)/python benchmarks/fit_perf.py
	$(BIN)/python benchmarks/fit_llm.py

schemas: $(STAMP)  ## Rewrite schemas/ and docs/diagnostics/ from the code.
	$(BIN)/infc schema --write schemas
	$(BIN)/infc explain --write docs/diagnostics

golden: $(STAMP)  ## Rewrite snapshots: read the diff.
	$(BIN)/pytest --quiet --snapshot-update

clean:  ## Remove everything that was built here.
	rm -rf $(VENV) $(VLLM) .infc dist build specs/dist
