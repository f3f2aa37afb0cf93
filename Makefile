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
	@echo "make setup | test | lint | bench | upstream | facts SOURCES='v0.7.0 ...' REPOSITORY=..."

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

bench: .venv/ready
	$(BIN)/python bench/light_commands.py

# All presets that need no patch, on a release of every generation.
upstream: .venv/ready-test
	$(BIN)/python -m pytest tests/upstream --every-release

facts: .venv/ready
	$(BIN)/python -m tools.make_releases $(REPOSITORY)
	$(BIN)/python -m tools.make_options $(SOURCES)

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
