# Two commands for a fresh machine with Python, git and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test check test-matrix clean

demo: $(VENV)/.demo  ## Run the example cold, warm and as a sweep, and say what the cache saved.
	$(BIN)/python example_app/demo.py

test: $(VENV)/.test check  ## Run linters, type checker and all tests.
	$(BIN)/python -m pytest

check: $(VENV)/.test
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

# The suite against every supported Hydra on this Python, and the newest Hydra on the others that are there.
test-matrix:
	$(PYTHON) .ci/matrix.py

$(VENV)/.demo: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[example]"
	touch $@

$(VENV)/.test: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test,launchers,optuna]"
	touch $@

clean:
	rm -rf $(VENV) .venv-* build *.egg-info
