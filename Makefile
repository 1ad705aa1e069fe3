# geovq: `make run` runs the pipeline, `make test` checks it. Each sets up .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
# As in stages/__init__.py, for the tests.
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 2000
TWO_PROCESSES := --numprocesses 2 --dist loadfile --max-worker-restart 0
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run plots quick test coverage audit docs lock clean

run: .venv/ready  ## every stage, then the table of results
	python -m tools.mend
	dvc repro
	python -m geovq.report metrics/evaluate.json

plots: .venv/ready  ## DVC's page of plots, readable offline; REVISIONS="HEAD~1 HEAD" compares
	python -m tools.plots $(REVISIONS)

quick: .venv/ready  ## style, types, layers, and the tests that take seconds at most
	ruff check .
	ruff format --check .
	mypy
	lint-imports --no-logo --no-cache
	pytest $(TWO_PROCESSES) -m "not slow"

test: quick  ## and the tests that take longer
	pytest $(TWO_PROCESSES) -m slow

coverage: .venv/ready  ## which lines no test runs; all tests, and slower
	coverage erase
	coverage run -m pytest $(TWO_PROCESSES)
	coverage combine --quiet
	rm -f .coverage.*  # of processes that tests have killed
	coverage report

audit: .venv/ready  ## known vulnerabilities of what is pinned; asks PyPI
	uv tool run pip-audit@2.10.1 --requirement requirements.txt --disable-pip --strict

docs: .venv/ready  ## the site: docs/_build/html/index.html
	sphinx-build -W --keep-going --quiet -d docs/_build/cache docs docs/_build/html

.venv/ready: requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "geovq needs Python 3.11 or newer (make PYTHON=...)")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.txt
	touch $@

lock: .venv/ready  ## pin pyproject.toml, all its extras, to the last transitive package
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--custom-compile-command 'make lock' --all-extras pyproject.toml -o requirements.txt

clean:  ## the environment and what was computed (not the cache)
	rm -rf .venv .geovq data/* docs/_build docs/api docs/gallery
