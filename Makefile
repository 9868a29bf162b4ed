# Everything one does with this project. `make up` is all a newcomer needs; a second one starts at once.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
BIN := .venv/bin
INSTALLED := .venv/installed
INSTALLED_DEV := .venv/installed-dev
INSTALLED_SCALE := .venv/installed-scale
INSTALLED_SCALE_TEST := .venv/installed-scale-test
BROWSER := .venv/browser
TOOLS := .venv/tools
# Compiling every package would take longer than the download: only what we import is compiled, once, by importing it.
LEAN := --no-compile
IMPORTED := byok.launch, byok.gateway.run, byok.web, byok.keeper, byok.cli, streamlit.web.bootstrap, streamlit.starlette, plotly.graph_objects
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

.PHONY: help up demo install install-scale test test-scale lint bench lock audit clean
.DEFAULT_GOAL := help

help:
	@echo "make up       start gateway, dashboard and keeper; prints what to open and a first call"
	@echo "make demo     the same on data-demo/, filled with a year of sample usage"
	@echo "make install  only .venv and what requirements.lock names"
	@echo "make test     all tests, with what they need (a browser included); make test QUICK=1 leaves the slow ones out"
	@echo "make install-scale  what PostgreSQL, S3 and Spark need beside it (docs/scale.md); make test-scale tests it on real servers"
	@echo "make lint     ruff and mypy"
	@echo "make audit    known advisories of the locked packages; make lock locks requirements.txt anew"
	@echo "make bench    the measurements in benchmarks/ (wants nginx and wrk; installs two peers once)"

up: $(INSTALLED)
	@exec $(BIN)/python -m byok up

demo: $(INSTALLED)
	@exec $(BIN)/python -m byok up --demo

install: $(INSTALLED)

# The slow ones kill processes, drive browsers and replay thousands of calls.
test: $(INSTALLED_DEV) $(BROWSER)
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(if $(QUICK),-m "not slow") $(TESTS)

install-scale: $(INSTALLED_SCALE)

test-scale: $(INSTALLED_DEV) $(INSTALLED_SCALE_TEST)
	@exec $(BIN)/python -m tests.scale $(TESTS)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED_DEV)
	@exec $(BIN)/python -m benchmarks

# Both have an environment of their own: what checks the packages is not among them.
$(TOOLS)/bin/%: | $(BIN)/python
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip --disable-pip-version-check --quiet --no-input install uv==0.13.9 pip-audit==2.10.1

lock: $(TOOLS)/bin/uv
	@{ echo '# Every package with its hashes, made from requirements.txt by `make lock`; `make install` takes nothing else.'; \
	$(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements.txt; \
	} > requirements.lock.new && mv requirements.lock.new requirements.lock
	@{ echo '# What requirements-scale.txt adds to requirements.lock, with hashes; made by `make lock`.'; \
	$(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		-c requirements.lock requirements-scale.txt; \
	} > requirements-scale.lock.new && mv requirements-scale.lock.new requirements-scale.lock

audit: $(TOOLS)/bin/pip-audit
	@$(PYTHON) -m tests.audit $(TOOLS)/bin/pip-audit

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found. Install it, or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making .venv with $(PYTHON) ..."
	@$(PYTHON) -m venv .venv

$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing what requirements.lock names into .venv (the first time takes a minute or two) ..."
	@$(PIP) install $(LEAN) --require-hashes -r requirements.lock
	@$(BIN)/python -c 'import os, pathlib, sysconfig as s; pathlib.Path(p := s.get_path("purelib"), "byok.pth").write_text(os.path.relpath(".", p) + "\n")'
	@printf '#!/bin/sh\nexec "%s" -m byok "$$@"\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/byok && chmod +x $(BIN)/byok
	@$(BIN)/python -W ignore -c 'import $(IMPORTED)'
	@echo "Installed: make up starts everything, make demo the same with sample usage, .venv/bin/byok --help lists the commands."
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED)
	@echo "Installing what tests and lint need ..."
	@$(PIP) install $(LEAN) -r requirements-dev.txt
	@touch $@

$(INSTALLED_SCALE): requirements-scale.lock $(INSTALLED)
	@echo "Installing what is needed past one machine (Spark is large) ..."
	@$(PIP) install $(LEAN) --require-hashes -r requirements-scale.lock
	@touch $@

# PostgreSQL itself comes from the system; where we may, its package is installed.
$(INSTALLED_SCALE_TEST): requirements-scale-test.txt $(INSTALLED_SCALE) $(INSTALLED_DEV)
	@$(PIP) install $(LEAN) -r requirements-scale-test.txt
	@if command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; \
	fi >/dev/null 2>&1 || true
	@touch $@

# A browser that is there already is taken; Debian's own where we may install it; else the one that Playwright brings.
$(BROWSER): $(INSTALLED_DEV)
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else $(BIN)/playwright install chromium; fi
	@touch $@
