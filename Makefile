# Every target sets itself up: Python 3.11+, git and make are all that a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Half of the tests start processes: each would compile its modules again.
export PYTHONDONTWRITEBYTECODE :=

PIP := $(BIN)/python -m pip install -q --disable-pip-version-check

.PHONY: demo test recompute lint docs bench kills faults lock clean

demo: $(READY) ## scan a simulated company on two nights
	$(BIN)/sprawlscan demo

test: $(READY) .cache/browser ## every test; needs no network beyond the package registries
	$(BIN)/python -m pytest -n 2 --dist worksteal -q --durations=10

recompute: $(READY) ## many random estates and sequences of nights, recomputed from the documentation: SEEDS=100 FROM=1
	ESTATES=$(or $(SEEDS),100) ESTATES_FROM=$(or $(FROM),1) NIGHTS_SEEDS=$(or $(SEEDS),100) NIGHTS_FROM=$(or $(FROM),1) \
	  $(BIN)/python -m pytest -n 2 -q tests/test_brute_force_reach.py tests/test_reference_statuses.py

lint: $(READY) ## formatting, lint, types, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m docs.reference --check
	$(BIN)/python -m docs.example --check

docs: $(READY) ## regenerate docs/reference.md
	$(BIN)/python -m docs.reference
	$(BIN)/python -m docs.example

bench: $(READY) ## measure against the budgets; writes benchmarks/results/
	$(BIN)/python -m benchmarks

kills: $(READY) ## kill a run at 50 random moments: no damaged state, no lost alert
	$(BIN)/python -m benchmarks.kills

faults: $(READY) ## every endpoint against every fault, resumable; COLLECTOR=github for one, up to an hour each
	$(BIN)/python -m benchmarks.faults $(COLLECTOR)

lock: $(READY) ## resolve requirements.lock anew
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --extra all --group dev --upgrade pyproject.toml -o requirements.lock
	echo hatchling==1.33.0 | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header -c requirements.lock pyproject.toml - -o requirements-check.lock

clean:
	rm -rf $(VENV) .cache demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
# uv takes seconds where pip takes minutes; pip knows mirrors of its own configuration.
	sed -n '/^uv==/,/# via/p' requirements.lock >$(VENV)/uv.lock
	$(PIP) --require-hashes -r $(VENV)/uv.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock \
	  || $(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q scanner collectors reports sandbox sprawlscan
	touch $@

# The browser tests want a Chromium. Debian's is installed when there is none and we may.
.cache/browser:
	mkdir -p .cache
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null) \
	  || (echo "A Chromium browser is needed for the report's tests: install chromium and try again." >&2; exit 1)
	touch $@
