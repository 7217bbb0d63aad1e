# make app    install everything on a fresh machine and open the app with its demo
# make test   install everything, a browser included, and run lint, types, docs and all tests
# make docs   build the docs site into site/, strictly and without a network
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PORT   ?= 8501
TOOLS  ?= .cache/tools
HOST   ?= localhost
WORKERS ?= 3
# setuptools is among the requirements: no environment is made to build in
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-build-isolation
# pip compiles what it installs on one core, compileall on all of them; half of it few ever ask for, and Python
# compiles that when it is asked for
SELDOM  := /(tests?|testing|models|graph_objs|lexers|_inductor|networkx|chardet|nltk|lm_eval|mypyc?|pip|altair|fontTools)/
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x '$(SELDOM)' $(VENV)/lib || true
KERNELS := $(shell find kencore/methods -name '*kernels*.py') kencore/methods/ken/bandwidth.py
WARM    := kencore/methods/ken/__pycache__/warm

# what one process compiles the next one reads, whatever the shell says
export PYTHONDONTWRITEBYTECODE =

.PHONY: app test suite lint types docs check chromium browser install lock supply clean

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

# Debian's package comes while pip is at work
chromium:
	$(PYTHON) tests/browser/install.py --package

browser: chromium $(VENV)/.installed-dev
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

test:
	$(MAKE) --no-print-directory -j lint types docs suite

suite: browser $(WARM)
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

check: lint types

# hashes of all that is installed but torch, whose builds differ by index
lock: $(TOOLS)/.installed
	grep -v '^torch==' requirements.txt > $(TOOLS)/in.txt
	$(TOOLS)/bin/pip-compile --quiet --generate-hashes --allow-unsafe --no-header --no-annotate --strip-extras \
	    --no-emit-index-url --no-emit-find-links --unsafe-package torch -o $(TOOLS)/lock.txt $(TOOLS)/in.txt
	grep -v '^# ' $(TOOLS)/lock.txt > requirements.lock

# known faults, licences and a list of what is inside, into supply/
supply: $(TOOLS)/.installed $(VENV)/.installed
	mkdir -p supply
	$(TOOLS)/bin/cyclonedx-py requirements requirements.lock -o supply/sbom.json
	$(TOOLS)/bin/pip-licenses --python $(BIN)/python --format=markdown --output-file=supply/licences.md
	$(TOOLS)/bin/pip-audit --require-hashes --disable-pip -r requirements.lock

$(TOOLS)/.installed:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet cyclonedx-bom==7.5.0 pip-audit==2.10.1 pip-licenses==5.5.5 pip-tools==7.6.2
	touch $@

clean:
	rm -rf $(VENV) $(TOOLS) supply build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
