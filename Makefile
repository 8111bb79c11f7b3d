# Two commands for a fresh machine with Python, git and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo test check test-matrix engines test-engines clean

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

# Real engines on this machine (Debian, as root): installed, started, tested against, and stopped again.
test-engines: engines
	HYDRA_CACHED_ENGINES=1 .venv-engines/bin/python -m pytest -rs $(ENGINES) tests/engines
	HYDRA_CACHED_ENGINES=1 .venv-ray/bin/python -m pytest -rs $(ENGINES) tests/engines/test_launchers.py -k ray

engines: .venv-engines/.done .venv-ray/.done
	bash tests/engines/install.sh

# An environment of its own, for some clients change what others do: sshfs takes over sftp://.
.venv-engines/.done: setup.py
	$(PYTHON) -m venv .venv-engines
	.venv-engines/bin/python -m pip install --quiet --editable ".[test,launchers,s3,azure,gcs,sftp]" gcp-storage-emulator
	touch $@

# The launcher for Ray wants other versions of cloudpickle and joblib.
.venv-ray/.done: setup.py
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --editable ".[ray]" pytest hypothesis
	touch $@

$(VENV)/.demo: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[example]"
	touch $@

$(VENV)/.test: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test,launchers,optuna]"
	touch $@

clean:
	rm -rf $(VENV) .venv-* .engines build *.egg-info
