# 快美 kuaimei. The two commands that matter: `make run` and `make test`; both do all of their own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input -q

# What voices are learned in: an environment of its own, because it needs torch. `make setup SLIM=1` leaves it out.
LEARN  := .venv-clone
TORCH  := torch==2.13.0
LEARNT := $(if $(SLIM),,$(LEARN)/.packages)

PAGE   := $(shell find web -name node_modules -prune -o -type f -print)

.PHONY: run test setup browser check docs format weights clean help

run: $(VENV)/.run     ## set up what is missing, start the server and print its address
	@exec $(BIN)/kuaimei serve --fetch

setup: $(VENV)/.run weights $(LEARNT)  ## private environments and weights, nothing started (SLIM=1: none to learn voices in)

weights: $(VENV)/.run
	@$(BIN)/kuaimei setup

test: $(VENV)/.docs weights browser $(LEARNT)  ## style, types and every test
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

format: $(VENV)/.dev  ## put the code into the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed: set PYTHON=python3.11 or install it." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "No virtual environment could be made: on Debian, 'apt install python3-venv'." >&2; exit 1; }

$(VENV)/.packages: requirements.txt | $(VENV)/bin/python
	@echo "Installing pinned packages into $(VENV) …"
	@$(PIP) install --require-hashes --no-deps -r requirements.txt
	@touch $@

$(VENV)/.run: $(VENV)/.packages pyproject.toml hatch_build.py $(PAGE)
	@echo "Installing kuaimei and building its page …"
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.txt
	@touch $@

$(VENV)/.docs: requirements-docs.txt $(VENV)/.dev
	@$(PIP) install --require-hashes --no-deps -r requirements-docs.txt
	@touch $@

# Which build of torch fits is the machine's matter (CUDA or not), so that it alone has no hash; --no-deps, because
# kokoro asks for a text pipeline that nothing here uses.
$(LEARN)/.packages: requirements-clone.txt | $(VENV)/bin/python
	@echo "Installing what learns voices into $(LEARN) …"
	@$(BIN)/python -m venv $(LEARN)
	@$(LEARN)/bin/python -m pip --disable-pip-version-check --no-input -q install $(TORCH) \
		|| { echo "torch could not be installed: SLIM=1 does without learning voices." >&2; exit 1; }
	@$(LEARN)/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes --no-deps \
		-r requirements-clone.txt
	@touch $@

clean:                ## remove the environments; weights and recordings stay
	rm -rf $(VENV) $(LEARN)

help:                 ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/'
