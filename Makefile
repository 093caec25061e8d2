# What can be done here: `make help`.  CI runs these same targets (.ci/run).
.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/ready
SITE := book/_site
COVERAGE := 90
BROWSER := sh .ci/browser $(SITE) && $(PY) tests/browser/check.py

export PYTHON

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml .ci/bootstrap
	@sh .ci/bootstrap
	@touch $@

.PHONY: setup
setup: $(READY) ## Make .venv from requirements.lock (the other targets do it when needed)

.PHONY: report
report: $(READY) ## Run every page that is stale, build the book, say where to open it
	@$(VENV)/bin/evidence build

.PHONY: test
test: $(READY) ## Run the tests, with coverage of src
	@$(PY) -m pytest -rs --cov=evidence --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE)

.PHONY: lint
lint: $(READY) ## Check style (ruff) and types (mypy)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

.PHONY: browser
browser: $(READY) ## Check the built book in Chromium: every page once, one of each kind thoroughly
	@$(BROWSER) $(SITE)

.PHONY: browser-all
browser-all: $(READY) ## Check every page of the built book in every width, mode and protocol
	@$(BROWSER) $(SITE) --all

.PHONY: bench
bench: $(READY) ## Measure what a page costs against papermill, what the methods cost, against R if there
	@failed=; for name in pages variation synthesis; do $(PY) -m tests.bench.$$name || failed="$$failed $$name"; done; \
	  [ -z "$$failed" ] || { echo "bars missed:$$failed" >&2; exit 1; }

.PHONY: endurance
endurance: $(READY) ## Kill, break and repeat builds on copies: what was complete must hold
	@$(PY) -m tests.endurance.faults

.PHONY: lab
lab: $(READY) ## Open JupyterLab in notebooks/
	@$(PY) -m jupyterlab --notebook-dir=notebooks

.PHONY: calibrate
calibrate: $(READY) ## Simulate with planted answers: bias, coverage, false alarms (a quarter of an hour)
	@export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; failed=; \
	  for script in tests/calibrate/*.py; do $(PY) $$script || failed="$$failed $$script"; done; \
	  [ -z "$$failed" ] || { echo "bars missed:$$failed" >&2; exit 1; }

.PHONY: lock
lock: ## Make requirements.lock anew from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: python3 -m pip install uv" >&2; exit 2; }
	@uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes \
	  --no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
	  --output-file requirements.lock $(LOCK)
