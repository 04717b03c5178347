# `make grade` grades the reference notebook (or SUBMISSION=path.ipynb); `make test` runs everything. Each makes the environment that it needs first.
PYTHON ?= python3
SUBMISSION ?= reference/all_cnn_c/solution.ipynb
OUT ?= report
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
GRADING := $(VENV)/.grading
DEVELOPING := $(VENV)/.developing

.PHONY: grade test lint clean

grade: $(GRADING)
	-@$(VENV)/bin/grade data fetch --if-missing --connect-timeout 10 || echo "Continuing with made-up stand-in images; the first line of the report says so."
	$(VENV)/bin/grade run --out $(OUT) -- "$(SUBMISSION)"

test: $(DEVELOPING) lint
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

lint: $(DEVELOPING)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# what grading needs; what the test-suite needs on top of it (`dev` in pyproject.toml)
$(GRADING): pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(DEVELOPING): pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $(GRADING) $@

clean:
	rm -rf $(VENV) $(OUT) .pytest_cache .mypy_cache .ruff_cache
