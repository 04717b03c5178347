# `make grade` grades the reference notebook (or SUBMISSION=path.ipynb); `make test` runs everything. Both make the environment first.
PYTHON ?= python3
SUBMISSION ?= reference/all_cnn_c/solution.ipynb
OUT ?= report
VENV := .venv
STAMP := $(VENV)/.installed

.PHONY: grade test lint clean

grade: $(STAMP)
	-@$(VENV)/bin/grade data fetch --if-missing --connect-timeout 10 || echo "Going on with made-up stand-in images; the report says so in its first line."
	$(VENV)/bin/grade run --out $(OUT) -- "$(SUBMISSION)"

test: $(STAMP) lint
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(OUT) .pytest_cache .mypy_cache .ruff_cache
