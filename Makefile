# Each target sets up .venv by itself the first time and again when the pinned versions change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup compare test test-all lint docs bench bench-training bench-publish clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "flexpool needs Python 3.10 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up .venv (once, a few minutes) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --editable '.[lab,dev]' --constraint constraints.txt
	@touch $@

setup: $(READY)  ## install flexpool and everything it can use into .venv

compare: $(READY)  ## pooling or a stride-2 convolution? LeNet-5 on embedded data, table and report
	@$(BIN)/flexpool compare

test: $(READY)  ## run the tests
	@$(BIN)/python -m pytest -n auto -m 'not heavy'

test-all: $(READY)  ## run the tests, the long ones too
	@$(BIN)/python -m pytest -n auto

lint: $(READY)  ## check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(READY)  ## write the pages and pictures of all operators and blocks, from their declarations
	@$(BIN)/flexpool pages

bench: $(READY)  ## measure operators beside PyTorch, torch.compile, oneDNN, ONNX Runtime
	@$(BIN)/flexpool bench

bench-training: $(READY)  ## measure the training loop beside a bare PyTorch loop
	@$(BIN)/python benchmarks/training_loop.py

bench-publish: $(READY)  ## measure all operators too, and keep figures and pictures in the repository
	@$(BIN)/flexpool bench --out benchmarks/results
	@mv benchmarks/results/benchmark.png docs/pictures/benchmark.png
	@for size in maps-k2 vgg-4; do \
		$(BIN)/flexpool bench --sizes $$size --out benchmarks/results/catalogue-$$size && \
		mv benchmarks/results/catalogue-$$size/benchmark.png docs/pictures/catalogue-$$size.png \
		|| exit 1; done

clean:  ## remove what make made; results stay
	rm -rf .venv build dist .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
