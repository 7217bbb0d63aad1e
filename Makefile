# make app    install everything on a fresh machine and open the app with its demo
# make test   install everything, a browser included, and run lint, types, docs and all tests
# make docs   build the docs site into site/, strictly and without a network
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8501
HOST   ?= localhost
WORKERS ?= 3
# pip compiles what it installs on one core, compileall on all of them
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
KERNELS := $(shell find kencore/methods -name '*kernels*.py') kencore/methods/ken/bandwidth.py
WARM    := kencore/methods/ken/__pycache__/warm

.PHONY: app test suite lint types docs check browser install clean

app: install
	$(BIN)/kenviz --port $(PORT) --host $(HOST) $(ARGS)

install: $(VENV)/.installed $(WARM)

# the mark lies beside the machine code, so that both go together
$(WARM): $(KERNELS) $(VENV)/.installed
	$(BIN)/python -m kencore warm
	mkdir -p $(@D)
	touch $@

$(VENV)/.installed: requirements.txt pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.txt
	$(PIP) --no-deps --editable .
	$(COMPILE)
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -c requirements.txt --editable '.[dev,docs]'
	$(COMPILE)
	touch $@

browser: $(VENV)/.installed-dev
	$(BIN)/python tests/browser/install.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# --clean: zensical's cache does not look at docstrings; the path: ruff formats signatures
docs: $(VENV)/.installed-dev
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/zensical build --strict --clean

test: $(VENV)/.installed-dev
	$(MAKE) --no-print-directory -j lint types docs suite

suite: browser $(WARM)
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

check: lint types

clean:
	rm -rf $(VENV) build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
