# Everything one does with this project. `make up` is all a newcomer needs; a second one starts at once.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
BIN := .venv/bin
INSTALLED := .venv/installed
INSTALLED_DEV := .venv/installed-dev
BROWSER := .venv/browser
# Compiling every package would take longer than the download: only what we import is compiled, once, by importing it.
LEAN := --no-compile
IMPORTED := byok.launch, byok.gateway.run, byok.web, byok.keeper, byok.cli, streamlit.web.bootstrap, streamlit.starlette, plotly.graph_objects
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

.PHONY: help up demo install test lint bench clean
.DEFAULT_GOAL := help

help:
	@echo "make up       start gateway, dashboard and keeper; prints what to open and a first call"
	@echo "make demo     the same on data-demo/, filled with a year of sample usage"
	@echo "make install  only .venv and what requirements.txt names"
	@echo "make test     all tests, with what they need (a browser included)"
	@echo "make lint     ruff and mypy"
	@echo "make bench    the measurements in benchmarks/ (wants nginx and wrk; installs two peers once)"

up: $(INSTALLED)
	@exec $(BIN)/python -m byok up

demo: $(INSTALLED)
	@exec $(BIN)/python -m byok up --demo

install: $(INSTALLED)

test: $(INSTALLED_DEV) $(BROWSER)
	@exec $(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

lint: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED_DEV)
	@exec $(BIN)/python -m benchmarks

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found. Install it, or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making .venv with $(PYTHON) ..."
	@$(PYTHON) -m venv .venv

$(INSTALLED): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing what requirements.txt names into .venv (the first time takes a minute or two) ..."
	@$(PIP) install $(LEAN) -r requirements.txt
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "byok.pth").write_text("$(CURDIR)\n")'
	@printf '#!/bin/sh\nexec "%s" -m byok "$$@"\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/byok && chmod +x $(BIN)/byok
	@$(BIN)/python -W ignore -c 'import $(IMPORTED)'
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED)
	@echo "Installing what tests and lint need ..."
	@$(PIP) install $(LEAN) -r requirements-dev.txt
	@touch $@

# A browser that is there already is taken; Debian's own where we may install it; else the one that Playwright brings.
$(BROWSER): $(INSTALLED_DEV)
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else $(BIN)/playwright install chromium; fi
	@touch $@
