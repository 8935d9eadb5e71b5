# `make demo` and `make test` need Python 3.11 to 3.13, make and a package index, nothing else.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
SHARED ?= $(or $(FAIRCAM_SHARED),../shared)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help demo test check format api kill-test bench study study-explanations london london-explained dashboard audit-dependencies clean

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.all: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing faircam with both frameworks (some minutes, about 8 GB) ..."
	$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.all
	$(PIP) --editable '.[dev]'
	@touch $@

demo: $(VENV)/.all ## Set up, then train, audit and report on the built-in synthetic data
	$(BIN)/faircam demo --out demo

dashboard: $(VENV)/.all ## Browse what the demo made
	$(BIN)/faircam dashboard demo

kill-test: $(VENV)/.dev ## A thousand kills at random (minutes)
	FAIRCAM_KILLS=1000 $(BIN)/python -P -m pytest -q tests/engine/test_faults.py -k at_random

audit-dependencies: ## Look up known weaknesses of the pinned packages (needs the network)
	$(PYTHON) -m venv .audit && .audit/bin/python -m pip --quiet install pip-audit
	.audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

test: $(VENV)/.dev ## Set up, then run every test, in two processes (JOBS=1 for one)
	$(BIN)/python -P -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: $(VENV)/.dev ## Lint, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Mend what can be mended by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

api: $(VENV)/.dev ## Write docs/api from the docstrings
	$(BIN)/python -P docs/make_api.py

bench: $(VENV)/.dev ## Ratios against captum, tf-explain, the bound of one pass, and fairlearn; reports of large runs
	$(BIN)/python -P tests/benchmarks/bench_pass.py
	$(BIN)/python -P tests/benchmarks/bench_audit.py
	$(BIN)/python -P tests/benchmarks/bench_fairness.py
	PYTHONPATH=. $(BIN)/python -P -m tests.benchmarks.bench_explanations
	PYTHONPATH=. $(BIN)/python -P -m tests.benchmarks.bench_faithfulness
	PYTHONPATH=. $(BIN)/python -P -m tests.benchmarks.bench_report

study: $(VENV)/.dev ## Where the truth is known: coverage, false alarms and power, into docs/operating-characteristics.md
	PYTHONPATH=. $(BIN)/python -P -m tests.study

study-explanations: $(VENV)/.dev ## Where the truth is known: planted shortcuts and fake methods, into docs/study-explanations.md
	PYTHONPATH=. $(BIN)/python -P -m tests.study_explanations

london: $(VENV)/.dev ## Five person-wise folds on the London set, in both frameworks (needs ../shared)
	$(BIN)/python -P tests/training/london_folds.py --framework torch --data $(SHARED)/data/london
	$(BIN)/python -P tests/training/london_folds.py --framework keras --data $(SHARED)/data/london

london-explained: $(VENV)/.dev ## Where three networks look on the London set, and what hiding the mouth does (needs ../shared)
	$(BIN)/python -P tests/training/london_explained.py --shared $(SHARED) --out runs/london-explained

clean: ## Remove the environment, the demo and caches
	rm -rf $(VENV) .audit demo .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
