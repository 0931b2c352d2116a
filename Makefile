# make demo | test | check | bench: each makes the environment first, once.
PYTHON ?= python3
VENV ?= .venv
# An index of CPU builds of torch, where the machine has no GPU and you know one:
#   make demo TORCH_INDEX=URL
TORCH_INDEX ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test lint check bench environment

demo: $(INSTALLED)
	$(BIN)/aftermap demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks

environment: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(PIP) --no-deps --index-url $(TORCH_INDEX) torch torchvision)
	$(PIP) --editable '.[dev]'
	touch $@
