# make train: a model of the Bible in minutes.  make test: the checks while working.  make test-all: all that a change must pass.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: train test test-all test-rest test-slurm install lint docs tutorial pages catalogue tree clean

train: $(STAMP)
	$(BIN)/assay train bible

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $(STAMP)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

test: lint
	$(PYTEST) -n 2 --dist worksteal -m "not slow"

test-all: test test-rest

# what make test leaves out; what cannot be had on this machine is skipped with its reason
test-rest: $(STAMP)
	$(PYTEST) -n 2 --dist worksteal -rs -m "slow and not slurm"
	$(BIN)/python tests/jobs/cluster.py --if-possible $(BIN)/python -m pytest -rs -m slurm

# on a Slurm of one node that is started here for it, installed first if need be
test-slurm: $(STAMP)
	$(BIN)/python tests/jobs/cluster.py $(BIN)/python -m pytest -m slurm

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

tutorial: $(STAMP)
	$(BIN)/python docs/regenerate.py docs/tutorial.md docs/texts.md

# what stands below the Python blocks of these pages is what they print
pages: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python docs/python_blocks.py README.md docs/python.md docs/check.md

catalogue: $(STAMP)
	$(BIN)/python -m assay.core.catalogue
	$(BIN)/python docs/make_catalogue.py
	$(BIN)/python docs/make_settings_page.py

tree: $(STAMP)
	$(BIN)/python docs/make_tree.py

clean:
	rm -rf $(VENV) site build dist
