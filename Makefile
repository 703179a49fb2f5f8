# make app   the dashboard on the embedded sample        make test   every test
# make lint  ruff and mypy                               make fix    let ruff format and mend what it can
# make bench the short benchmarks (docs/performance.md)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app test lint fix bench clean
app: $(VENV)/.app
	$(BIN)/metaclip dashboard

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/matching.py --repeats 3
	$(BIN)/python benchmarks/balancing.py --pairs 1e6 --repeats 3
	$(BIN)/python benchmarks/pipeline.py --pairs 1e6

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.app

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
