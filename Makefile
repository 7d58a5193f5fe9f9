.PHONY: demo test test-all test-lowest fuzz check format docs

PY := .venv/bin/python
# Real photographs and shards, if they lie beside the clone: tests that need them are skipped without.
ifneq ($(wildcard ../shared/data),)
export FOVEAL_DATA ?= $(realpath ../shared/data)
endif
# Images for containers forbid Python to keep what it compiled. The tests start hundreds of processes, each of which would compile torch's
# modules again: loading them takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

# On as many processors as there are, four at most: each process loads all of torch.
PYTEST := $(PY) -m pytest -n auto --maxprocesses 4 --dist worksteal

demo: .venv/ready
	$(PY) -m foveal.tools demo --out demo

test: .venv/ready
	$(PYTEST) -m "not slow"

test-all: .venv/ready .venv/frameworks/ready
	FOVEAL_NEW_EXAMPLES=1 $(PYTEST)
	.venv/frameworks/bin/python -m pytest tests/frameworks

# The lowest versions that pyproject.toml allows, torch aside: its old builds are large. These warn of what is newer.
test-lowest: .venv/lowest/ready
	.venv/lowest/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow" -W ignore::DeprecationWarning

# A million damaged images, a quarter of an hour; SEED=... for others.
SEED ?= 0
fuzz: .venv/ready
	$(PY) -m tests.pipeline.decoding.fuzz 1000000 $(SEED)

check: .venv/ready
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: .venv/ready
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

# The documentation site, into site/; a broken link or a missing reference is an error.
docs: .venv/ready
	$(PY) -m pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

# torch first and alone: an open requirement would fetch another build of it than the one pinned here. uv installs the rest in a tenth of
# pip's time; if it cannot, say because only pip is told of a registry, pip does.
.venv/ready: pyproject.toml
	python3 -m venv .venv
	$(PY) -m pip install --quiet --no-compile torch==2.13.0 uv
	$(PY) -m uv pip install --quiet --python $(PY) --editable '.[dev]' || $(PY) -m pip install --quiet --editable '.[dev]'
	touch $@

# The training frameworks have an environment of their own: they need torchvision, and so torch in the build that torchvision is made for.
# Composer's last release asks for torch below 2.7.1, and runs with this one.
.venv/frameworks/ready: .venv/ready
	python3 -m venv .venv/frameworks
	.venv/frameworks/bin/python -m pip install --quiet --no-compile torch torchvision
	$(PY) -m uv pip install --quiet --python .venv/frameworks/bin/python --editable '.[frameworks]' || .venv/frameworks/bin/python -m pip install --quiet --editable '.[frameworks]'
	.venv/frameworks/bin/python -m pip install --quiet --no-deps mosaicml==0.32.1
	touch $@

.venv/lowest/ready: .venv/ready
	python3 -m venv .venv/lowest
	.venv/lowest/bin/python -m pip install --quiet --no-compile torch==2.13.0
	echo torch==2.13.0 > .venv/lowest/torch.txt
	$(PY) -m uv pip install --quiet --python .venv/lowest/bin/python --resolution lowest-direct --constraint .venv/lowest/torch.txt --editable '.[test]'
	touch $@
