# Every target sets up what it needs: on a fresh machine any of them may be the first one run.

PYTHON ?= python3
export KOHYA_PRESETS_HOME ?= $(CURDIR)/vendor

BIN := .venv/bin
RUN := $(BIN)/kohya-presets
SITE := $(if $(RELEASE),--release "$(RELEASE)") $(if $(CHECKOUT),--checkout "$(CHECKOUT)") \
        $(if $(TRAINER_PYTHON),--python "$(TRAINER_PYTHON)")
SETS := $(foreach setting,$(SET),--set $(setting))

.PHONY: help setup rehearse train test lint bench facts upstream clean

help:
	@echo "make rehearse PRESET=skynet                 the whole job on a miniature, on this CPU"
	@echo "make train PRESET=skynet DATA=... BASE=...  [NAME= RELEASE= CHECKOUT= SET='a.b=1 c.d=2']"
	@echo "make setup | test | lint | bench | upstream | facts [SD_SCRIPTS=... KOHYA_SS=...]"

setup: .venv/ready

rehearse: .venv/ready
	$(RUN) rehearse $(or $(PRESET),skynet) $(SITE) $(if $(DATA),--data "$(DATA)") $(SETS)

train: .venv/ready
	$(RUN) train $(or $(PRESET),$(error which PRESET?)) --data "$(or $(DATA),$(error where is DATA?))" \
	  --base "$(or $(BASE),$(error which BASE?))" $(if $(NAME),--name "$(NAME)") $(SITE) $(SETS)

test: .venv/ready-test
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadgroup

lint: .venv/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# All of them, whatever the first ones say. On a GPU where there is one.
bench: .venv/ready-bench
	@failed=; for name in light_commands validating patching watching_over ema adacoor lora \
	  pictures.duplicates pictures.copies pictures.reading pictures.sheet pages.report; do \
	  echo "== $$name"; $(BIN)/python -m bench.$$name || failed="$$failed $$name"; echo; \
	done; test -z "$$failed" || { echo "not as fast as they should be:$$failed"; exit 1; }

# All that talks to the real sd-scripts and Kohya GUI, every preset on every generation, and what
# else takes long: an hour.
upstream: .venv/ready-test
	$(BIN)/python -m pytest tests/upstream tests/patches --every-release

# With SD_SCRIPTS and KOHYA_SS, clones that have all tags, the list of releases as well.
facts: .venv/ready
	$(if $(SD_SCRIPTS),$(BIN)/python -m tools.make_releases "$(SD_SCRIPTS)" "$(KOHYA_SS)")
	$(BIN)/python -m tools.make_options

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/ready: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/ready-test: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@ .venv/ready

.venv/ready-bench: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	touch $@ .venv/ready
