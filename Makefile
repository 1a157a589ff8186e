# 快美 kuaimei. The two commands that matter: `make run` and `make test`; both do all of their own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input -q

# What voices are learned in needs torch, and is made in the data folder: by the server while it runs, by
# `kuaimei setup` at once. SLIM=1 leaves it out.
ifneq ($(SLIM),)
export KUAIMEI_VOICES__ENVIRONMENT := off
endif

PAGE   := $(shell find web -name node_modules -prune -o -type f -print)

.PHONY: run test setup browser check docs format weights clean help

run: $(VENV)/.run     ## set up what is missing, start the server and print its address
	@exec $(BIN)/kuaimei serve --fetch

setup: weights        ## private environments and weights, nothing started (SLIM=1: none to learn voices in)

weights: $(VENV)/.run
	@$(BIN)/kuaimei setup

test: $(VENV)/.docs weights browser  ## style, types and every test
	@$(MAKE) --no-print-directory check
	@$(BIN)/kuaimei models pull qwen2.5-coder-0.5b dnsmos
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit tests/integration
	$(BIN)/python -m pytest tests/browser tests/features

browser:              # for the tests of the page, which are skipped where none can be had
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& echo "Installing Chromium for the tests of the page …" && apt-get -qq update \
		&& DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
			chromium fonts-noto-cjk >/dev/null; } \
		|| echo "No Chromium: the tests of the page are skipped (apt install chromium fonts-noto-cjk)."

check: $(VENV)/.docs  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs   ## the documentation's site, into site/; a dead link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html"

format: $(VENV)/.dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed: set PYTHON=python3.11 or install it." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "No virtual environment could be made: on Debian, 'apt install python3-venv'." >&2; exit 1; }

# Some packages come as sources: what builds them is pinned and hashed like everything else, and nothing is fetched
# for a build.
$(VENV)/.packages: requirements-build.txt requirements.txt | $(VENV)/bin/python
	@echo "Installing pinned packages into $(VENV) …"
	@$(PIP) install --require-hashes --no-deps -r requirements-build.txt
	@$(PIP) install --require-hashes --no-deps --no-build-isolation -r requirements.txt
	@touch $@

$(VENV)/.run: $(VENV)/.packages pyproject.toml hatch_build.py $(PAGE)
	@echo "Installing kuaimei and building its page …"
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@$(PIP) install --require-hashes --no-deps --no-build-isolation -r requirements-dev.txt
	@touch $@

$(VENV)/.docs: requirements-docs.txt $(VENV)/.dev
	@$(PIP) install --require-hashes --no-deps --no-build-isolation -r requirements-docs.txt
	@touch $@

clean:                ## remove the private environment; the data folder stays
	rm -rf $(VENV)

help:                 ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/'
