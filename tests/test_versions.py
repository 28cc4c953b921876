"""What ``show_versions`` prints, and what a process says that has no native engine."""

from __future__ import annotations

import importlib.metadata
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skneural
from skneural import DenseNetRegressor, _versions
from skneural._engine.native import extension as _extension
from skneural._engine.native import form as _native_form

is_built = _extension.engine is not None


def test_show_versions_prints_python_packages_and_engines(capsys):
    skneural.show_versions()
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.endswith(":")] == ["System:", "Packages:", "Engines:"]
    assert f"executable: {sys.executable}" in lines
    assert f"skneural: {skneural.__version__}" in lines
    for name in ("keras", "tensorflow", "scikit-learn", "scikeras", "numpy"):
        assert f"{name}: {importlib.metadata.version(name)}" in lines
    assert any(line.startswith("BLAS 1: openblas") for line in lines)


@pytest.mark.skipif(not is_built, reason="there was no C compiler")
def test_show_versions_tells_the_instruction_set(capsys):
    skneural.show_versions()
    instructions = _extension.engine.instruction_set()
    assert f"native: built, uses {instructions} instructions" in capsys.readouterr().out
    processor = Path("/proc/cpuinfo")
    if processor.exists():
        flags = set(processor.read_text().split())
        assert (instructions == "avx2") == ({"avx2", "fma"} <= flags)


def test_show_versions_loads_no_tensorflow_and_leaves_the_engine_usable():
    code = """
import sys, skneural
skneural.show_versions()
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
import numpy as np
X = np.random.default_rng(0).normal(size=(20, 2))
print("engine", skneural.DenseNetRegressor((2,), epochs=1).fit(X, X[:, 0]).engine_)
"""
    root = Path(__file__).parent.parent
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root).stdout
    assert printed.endswith(f"engine {'native' if is_built else 'compiled'}\n")


def test_engine_that_was_not_built_is_told(monkeypatch):
    monkeypatch.setattr(_versions, "__file__", "/nowhere/_versions.py")
    assert _versions.native_engine() == "not built, dense networks are trained by XLA"


def test_a_process_says_once_that_xla_trains_what_the_native_engine_would(monkeypatch, caplog):
    monkeypatch.setattr(_extension, "engine", None)
    _native_form._tell_that_it_is_missing.cache_clear()
    caplog.set_level(logging.INFO, logger="skneural")
    X = np.random.default_rng(0).normal(size=(20, 2))
    for _ in range(2):
        assert DenseNetRegressor((2,), epochs=1, random_state=0).fit(X, X[:, 0]).engine_ == "compiled"
    said = [record.getMessage() for record in caplog.records if "native engine" in record.getMessage()]
    assert said == [
        "The native engine was not built (no C compiler), so XLA trains dense networks: more slowly, and with "
        "other weights from the same seed than where it was built."
    ]
