# make train: a model of the Bible in minutes.  make test: every check that a change must pass.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: train test test-compile test-slurm install lint docs tutorial catalogue clean

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

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not inductor"

test-compile: $(STAMP)
	$(BIN)/python -m pytest -m inductor

# on a Slurm of one node that is started here for it, installed first if need be
test-slurm: $(STAMP)
	$(BIN)/python tests/jobs/cluster.py $(BIN)/python -m pytest tests/jobs/test_slurm.py tests/searches/test_on_slurm.py

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

tutorial: $(STAMP)
	$(BIN)/python docs/regenerate.py docs/tutorial.md docs/texts.md

catalogue: $(STAMP)
	$(BIN)/python docs/make_catalogue.py

clean:
	rm -rf $(VENV) site build dist
