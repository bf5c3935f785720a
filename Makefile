# The commands of this project. Each works on a fresh machine with Python 3.11+ and a package index.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test check prove cluster-test bench fuzz requirements proto
help: ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# PYTHON= asks for another interpreter than the one that .venv was made with: make it anew.
ifneq ($(origin PYTHON),file)
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(PYTHON))
.PHONY: $(STAMP)
endif
endif

$(STAMP): requirements/dev.txt pyproject.toml plugins/nvidia_gpu/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "make: '$(PYTHON)' is missing or older than Python 3.11: install Debian's python3 and python3-venv (12 or newer), or name another one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "make: '$(PYTHON)' cannot make a virtual environment: install Debian's python3-venv, or name another one: make PYTHON=python3.12"; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip --quiet --disable-pip-version-check install --require-hashes -r requirements/dev.txt
	@$(BIN)/pip --quiet --disable-pip-version-check install --no-deps --no-build-isolation -e . -e plugins/nvidia_gpu
	@echo '$(PYTHON)' >$@

demo: $(STAMP) ## devices, claims, a killed plugin and nothing lost, on this machine in a minute
	@$(BIN)/dracore demo --node dgx-h100

test: $(STAMP) ## unit and embedded tests
	@$(BIN)/pytest -n 3 --dist worksteal tests --ignore tests/cluster

prove: $(STAMP) ## the crash matrix, power cuts, random walk and soak, whole (about 10 minutes on 2 cores)
	@$(BIN)/python -m dracore.testing.crash --jobs 2 --thin --seed "$(SEED)" 2>/dev/null
	@$(BIN)/python -m dracore.testing.crash.walk --jobs 2
	@DRACORE_PROVE=1 $(BIN)/pytest -n 2 tests/prove

check: $(STAMP) ## lint, types, layers, docs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q tests/test_public.py tests/docs

cluster-test: $(STAMP) ## pods with devices on a real Kubernetes 1.37 (root; builds it once, about 8 minutes)
	@$(BIN)/python tests/cluster/build.py
	@$(BIN)/pytest tests/cluster

bench: $(STAMP) ## the driver beside a floor, ratios as JSON (builds etcd and kube-apiserver once)
	@$(BIN)/python -m bench

SECONDS_EACH ?= 600
fuzz: $(STAMP) ## atheris on the parsers of selectors, SECONDS_EACH=600 for each of the seven
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && mkdir -p .fuzz && $(PYTHON) -m venv "$$tools" \
	  && "$$tools/bin/pip" --quiet --disable-pip-version-check install atheris google-re2 pyyaml \
	  && $(BIN)/python tests/fuzz/corpus.py "$$tools/corpus" \
	  && for target in expression quantity semver format time address regex; do \
	    PYTHONPATH=. "$$tools/bin/python" tests/fuzz/coverage.py $$target $(SECONDS_EACH) "$$tools/corpus/$$target" \
	      2>"$$tools/log" || { tail -n 40 "$$tools/log"; exit 1; }; tail -n 1 "$$tools/log"; done

requirements: ## pin the versions anew (needs uv)
	@uv pip compile --quiet --universal --no-emit-index-url --generate-hashes --python-version 3.11 --no-header \
	  --group dev pyproject.toml -o requirements/dev.txt

proto: ## generate the kubelet's messages anew, with the pinned old protoc in a venv of its own
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" \
	  && "$$tools/bin/pip" --quiet --disable-pip-version-check install grpcio-tools==1.66.2 \
	  && "$$tools/bin/python" dracore/kubelet/wire/generate.py
