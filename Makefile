# In a fresh clone: `make quickstart` runs the main job, `make test` the tests. Both install what they need into .venv.
PYTHON ?= python3
BIN := .venv/bin
LAUNCH := $(BIN)/accelerate launch --config_file launch/one_gpu.yaml
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: quickstart test test-all test-oldest check format recipe-table benchmark clean

quickstart: .venv/installed
	@$(LAUNCH) recipes/sst2.py --strategy from_scratch --quiet
	@$(LAUNCH) recipes/sst2.py

# Few minutes of one core. Of products (strategies, heads, networks) some cases that stand for all; every head, every
# strategy and every one of the nine invariants is there (CONTRIBUTING.md).
# In two processes where there are cores for them: each loads torch and its own server of processes, a minute of a slow
# core, and makes the runs that tests share; more would gain little. The tests' networks are too small for more than a
# thread each; torch would start one for every core in every process.
WORKERS := $(shell [ "$$(nproc 2>/dev/null || echo 1)" -gt 1 ] && echo 2 || echo 0)
test: export OMP_NUM_THREADS = 1
test: .venv/installed-dev
	$(BIN)/python -m pytest -q -n $(WORKERS)

# All of it: whole products, a stop after every update, properties tried on a hundred examples, every command of the
# pages, an installation into an empty environment. The page's tests want a browser; without one they are
# skipped, and say so.
test-all: .venv/installed-all
	@command -v chromium >/dev/null || apt-get install --yes -qq chromium || echo "no chromium: the page is not tested"
	$(BIN)/python -m pytest -q -m ""

# The same tests with the oldest versions that pyproject.toml admits, in an environment of its own. torch alone is that of
# constraints.txt: older ones bring gigabytes of CUDA.
test-oldest: export OMP_NUM_THREADS = 1
test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest -q -n $(WORKERS)

.venv-oldest/installed: pyproject.toml constraints.txt scripts/lower_bounds.py
	@$(PYTHON) -m venv .venv-oldest
	@$(PYTHON) scripts/lower_bounds.py --keep torch > .venv-oldest/constraints.txt
	@.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/constraints.txt torch
	@.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/constraints.txt --editable ".[dev]"
	@touch $@

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Adds what `python benchmarks/real_data.py` has run, if anything.
recipe-table: .venv/installed
	$(BIN)/python benchmarks/recipe_table.py --add $(wildcard runs/measured/*)

benchmark: .venv/installed-measure
	$(BIN)/python benchmarks/sst2_throughput.py

# torch first and by itself: a package that asks for it later must find it there.
.venv/installed: pyproject.toml constraints.txt
	@echo "Installing into .venv (once; some minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) torch
	@$(PIP) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	@$(PIP) --editable ".[dev]"
	@touch $@

.venv/installed-measure: .venv/installed-dev
	@$(PIP) --editable ".[dev,measure]"
	@touch $@

.venv/installed-all: .venv/installed-measure
	@$(PIP) --editable ".[dev,measure,demo,all-tests]"
	@touch $@

clean:
	rm -rf .venv .venv-oldest runs .pytest_cache .mypy_cache .ruff_cache *.egg-info
