# make app    install everything on a fresh machine and open the app with its demo
# make test   install everything, a browser included, and run lint, types and all tests
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8501
HOST   ?= localhost
WORKERS ?= 3

.PHONY: app test lint types check browser install clean

app: install
	$(BIN)/streamlit run app/server.py --server.port $(PORT) --server.address $(HOST)

install: $(VENV)/.installed

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt --editable '.[dev]'
	touch $@

browser: $(VENV)/.installed-dev
	$(BIN)/python tests/browser/install.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

test: $(VENV)/.installed-dev
	$(MAKE) --no-print-directory --output-sync -j browser lint types
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

check: lint types

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
