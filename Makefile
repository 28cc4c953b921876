# From a fresh checkout: `make digits` runs the main job, `make test` the tests. Each makes its own environment first.
# Needed: make, git and a Python from 3.11 to 3.13 (PYTHON=/path/to/python chooses one).

VENV = .venv
VENV_PYTHON = $(VENV)/bin/python
PYTHONS = $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
ARGS =
C_CODE = $(wildcard skneural/_engine/native/c/*)

# Without its compiled files, each import of TensorFlow takes several seconds more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help digits handwritten introduction sequences clusters tables translation docs test sanitize lint lock venv fresh-venv empty-venv clean

help:
	@echo "make digits         search over networks for handwritten digits, with a report and figures"
	@echo "make handwritten    a convolutional network reads digits (ARGS='--csv FILE' for a table of pixels)"
	@echo "make introduction   an introduction to Keras in nine steps (ARGS='--csv FILE' for another table)"
	@echo "make sequences      sequences classified, and what the network thought at each step"
	@echo "make clusters       digits sorted without their labels, and what the clusters are"
	@echo "make tables         a table with numbers, categories and holes: report, calibration, importances, a stored model"
	@echo "make translation    a translator from English to German (ARGS='--tsv FILE' for pairs of your own)"
	@echo "make test           the tests (ARGS='tests/test_package.py -k version' for some of them)"
	@echo "make sanitize       the native engine's tests, with its C code under address and undefined-behaviour sanitizers (gcc)"
	@echo "make lint           format (also of C), lint, types, import contracts, spelling"
	@echo "make docs           the site in docs/_build/html, its gallery executed (ARGS='-D plot_gallery=0' leaves that out)"
	@echo "make lock           resolve requirements.lock anew (ARGS=--upgrade for the newest versions)"
	@echo "make clean          remove the environment and all caches"

digits: venv
	@$(VENV_PYTHON) examples/digits_search.py $(ARGS)

handwritten: venv
	@$(VENV_PYTHON) examples/handwritten_digits.py $(ARGS)

introduction: venv
	@$(VENV_PYTHON) examples/keras_introduction.py $(ARGS)

sequences: venv
	@$(VENV_PYTHON) examples/sequences.py $(ARGS)

clusters: venv
	@$(VENV_PYTHON) examples/digits_clusters.py $(ARGS)

tables: venv
	@$(VENV_PYTHON) examples/tables.py $(ARGS)

translation: venv
	@$(VENV_PYTHON) examples/translation.py $(ARGS)

test: venv
	$(VENV_PYTHON) -m pytest -n 2 $(ARGS)

# The package is built once more, in a folder of its own, and stands before the usual one. Python must load the sanitizer
# before anything else, and with it the library of C++, whose exceptions the sanitizer wraps. Python itself leaks a little.
SANITIZED = build/sanitized
SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g
SANITIZED_PYTHON = PYTHONPATH=$(CURDIR)/$(SANITIZED) ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so.6)"

sanitize: venv
	rm -rf $(SANITIZED)
	CC=gcc CFLAGS="$(SANITIZERS)" $(VENV_PYTHON) setup.py --quiet build --build-lib $(SANITIZED) \
		--build-temp $(SANITIZED)/objects
	$(SANITIZED_PYTHON) $(VENV_PYTHON) -P -c \
		"from skneural._engine.native import _native as engine; print(engine.__file__); assert 'sanitized' in engine.__file__"
	$(SANITIZED_PYTHON) $(VENV)/bin/pytest -q $(or $(ARGS),tests/engine/test_native_*.py tests/engine/test_column_encoding.py)

lint: venv
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m mypy --strict skneural
	$(VENV)/bin/lint-imports
	$(VENV)/bin/clang-format --dry-run --Werror $(C_CODE)
	$(VENV)/bin/codespell

# As a line in a .pth file, which type checkers follow; the default is a hook in Python's import system.
EDITABLE = --config-settings editable_mode=compat --editable

# The environment is up to date when it was made from this very lock and C code, in this place, and its Python still runs.
MADE_FROM = { cat requirements.lock setup.py skneural/_engine/native/c/*; pwd; }

venv:
	@if $(MADE_FROM) | cmp -s - $(VENV)/made-from && $(VENV_PYTHON) -c ""; then :; \
	else $(MAKE) --no-print-directory fresh-venv; fi

fresh-venv: empty-venv
	@echo "Installing the packages of requirements.lock; TensorFlow is large, this takes some minutes the first time ..."
	@$(VENV_PYTHON) -m pip install --disable-pip-version-check --require-hashes --requirement requirements.lock
	@echo "Installing skneural from this checkout ..."
	@$(VENV_PYTHON) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation $(EDITABLE) .
	@$(MADE_FROM) > $(VENV)/made-from
	@echo "$(VENV) is ready."

empty-venv:
	@for python in $(PYTHONS); do \
		if "$$python" -c "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" 2>/dev/null; \
		then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "No Python from 3.11 to 3.13 with its venv module was found. Tried: $(PYTHONS)."; \
		echo "Install one (on Debian and Ubuntu with its python3-venv package), or name one: make test PYTHON=/path/to/python"; \
		exit 1; \
	fi >&2; \
	echo "Making the environment $(VENV) with $$("$$found" --version) ..."; \
	"$$found" -m venv --clear $(VENV)

docs: venv
	$(VENV_PYTHON) -m sphinx -W --keep-going -j 1 -b html $(ARGS) docs docs/_build/html
	@echo "Open docs/_build/html/index.html."

lock:
	@$(MAKE) --no-print-directory empty-venv VENV=.venv-lock
	.venv-lock/bin/python -m pip install --disable-pip-version-check --quiet uv
	.venv-lock/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --extra test \
		--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		--output-file requirements.lock $(ARGS) pyproject.toml

clean:
	rm -rf .venv .venv-lock .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
