# make demo | test | check | bench: each makes the environment first, once.
PYTHON ?= python3
VENV ?= .venv
# An index of CPU builds of torch (0.7 GB instead of 7), taken where no GPU is seen:
#   export TORCH_CPU_INDEX=URL   once, or   make demo TORCH_CPU_INDEX=URL
# TORCH_INDEX=URL is taken on any machine.
TORCH_CPU_INDEX ?=
GPU := $(shell nvidia-smi --list-gpus 2>/dev/null | grep ^GPU)
TORCH_INDEX ?= $(if $(GPU),,$(TORCH_CPU_INDEX))

BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: demo test lint check bench environment

demo: $(INSTALLED)
	$(BIN)/aftermap demo
	@echo 'The command is $(BIN)/aftermap; ". $(BIN)/activate" puts it on the PATH of this shell.'

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
