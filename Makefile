# Two commands are enough on a machine with Python (>= 3.11) and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2

.PHONY: install demo test lint types imports unit bench bench-controller bench-planner bench-referee fuzz soak lock clean

install: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: install
	@$(BIN)/roam demo $(ARGS)

test: lint types imports unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

unit: install
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

bench-controller: install
	@$(BIN)/python tests/benchmarks/bench_controller.py

# `make bench-planner ARGS="200x20 1000x30 --replan"`: services by sub-clusters, also plans made anew where much runs;
# `ARGS="--opinions 10000x100"`: what the engines take; `ARGS=--growth`: how time grows, drawn in docs/.
bench-planner: install
	@$(BIN)/python tests/benchmarks/bench_planner.py $(ARGS)

# `make bench-referee ARGS="small free scarce"`: plans beside an exact solver, one thread each.
bench-referee: install
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/benchmarks/bench_referee.py $(ARGS)

bench: install
	@for bench in tests/benchmarks/bench_*.py; do $(BIN)/python $$bench; done

# `make soak ARGS="--seeds 0-1999"`: the simulation with other seeds than the tests'.
soak: install
	@$(BIN)/python -m federation.testing.simulate $(or $(ARGS),--seeds 1000-1199)

# `make fuzz ARGS="--count 1000000 --seed 3"`: random requests and manifests; a million takes about 20 minutes.
fuzz: install
	@$(BIN)/python -m federation.testing.fuzz $(ARGS)

# The lock file holds hashes and no addresses; `pip-compile` comes with pip-tools.
lock:
	pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --no-header --extra dev --output-file requirements.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
