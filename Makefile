# Two commands matter: `make quickstart` and `make test`. The rest is for contributors.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Test files run side by side in this many processes, one more than two cores, since some wait; each takes up to 2 GB.
JOBS   ?= 3
# Tests start hundreds of processes: without compiled files each would compile nearfar anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test coverage check lint types format soak notebook clean

quickstart: $(STAMP)
	$(BIN)/python -m pipeline.world runs/world
	$(BIN)/nearfar run data_manifests/plans/quickstart.yaml
	$(BIN)/nearfar export runs/quickstart combined_pruned --samples-per-shard 1000

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# The same under coverage, which takes about a third longer; at least 90 % of the lines must run.
coverage: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term --cov-fail-under=90

check: lint types test

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Kills the quickstart, and every stage, at 25 random moments; hours, not minutes.
soak: $(STAMP)
	$(BIN)/python -m pytest -m soak -s

notebook: $(STAMP)
	$(BIN)/python notebooks/execute.py

clean:
	rm -rf runs build dist .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.*

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "nearfar needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)
