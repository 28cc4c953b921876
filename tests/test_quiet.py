"""A loop over models writes nothing to the standard error stream, whatever trains them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOP = """
import sys
import keras
import numpy as np
from skneural import DenseNetRegressor, KerasRegressor

class Own(keras.Model):
    def train_step(self, data):
        return super().train_step(data)

def plain():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])

def own():
    inputs = keras.Input((3,))
    return Own(inputs, keras.layers.Dense(1)(inputs))

X = np.random.default_rng(0).normal(size=(20, 3))
ways = [
    ("native", DenseNetRegressor((2,), epochs=1), {}),
    ("compiled", KerasRegressor(plain, loss="log_cosh", optimizer="nadam"), {}),
    ("keras", KerasRegressor(plain, loss="mse", fit__validation_freq=1, validation_split=0.5), {"steps": 1}),
    ("keras", KerasRegressor(own, loss="mse"), {}),
    ("keras", KerasRegressor(plain, loss="mse", run_eagerly=True), {}),
]
print("begin", file=sys.stderr)
for way, estimator, arguments in ways:
    for _ in range(10):
        estimator.fit(X, X[:, 0]).predict(X, **arguments)
        estimator.predict(X[:7])
    assert estimator.engine_ in (way, "compiled"), (way, estimator.engine_)
print("end")
"""


@pytest.mark.slow
def test_ten_models_each_way_are_trained_in_silence():
    result = subprocess.run(
        [sys.executable, "-c", LOOP], capture_output=True, text=True, cwd=Path(__file__).parent.parent, check=False
    )
    said = result.stderr.partition("begin\n")[2]
    # TensorFlow says once in a process that XLA compiles for it.
    rest = [line for line in said.splitlines() if "XLA service" not in line and "device (0)" not in line]
    assert result.stdout == "end\n", said
    assert [line for line in rest if "Compiled cluster using XLA" not in line and "StreamExecutor" not in line] == []


def _stderr_of(code: str, **environment: str) -> str:
    """Run code in a process whose environment says nothing of logs but what is given here."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TF_CPP_", "GLOG_"))}
    command, root = [sys.executable, "-c", code], Path(__file__).parent.parent
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=root, check=False, env={**inherited, **environment}
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


FIRST_FITS = """
import os
import numpy as np
from joblib import Parallel, delayed
import skneural

def fit(**parameters):
    X = np.random.default_rng(0).normal(size=(20, 3))
    return skneural.DenseNetRegressor((2,), epochs=1, **parameters).fit(X, X[:, 0])

fit(), fit(loss="log_cosh", batch_normalization=True)
Parallel(n_jobs=2)(delayed(fit)() for _ in range(2))
assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
"""


@pytest.mark.slow
@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="TensorFlow has something to say of a GPU")
def test_a_first_fit_and_its_workers_say_nothing() -> None:
    assert _stderr_of(FIRST_FITS) == ""


@pytest.mark.parametrize(
    "name", ["DenseNetClassifier", "KerasClassifier", "NetworkDisplay", "parallel_fits", "_engine", "_rows.tables"]
)
def test_each_way_into_the_package_imports_tensorflow_the_same_way(name: str, tmp_path: Path) -> None:
    """With a TensorFlow that writes to the stream itself, and cannot be imported: who asked for it is seen."""
    (tmp_path / "tensorflow.py").write_text(
        "import os, sys\n"
        "os.write(2, b'I0000 00:00:1.5  1 port.cc:153] oneDNN is on\\nE0000 00:00:1.5  1 x.cc:1] broken\\n')\n"
        "print('level', os.environ.get('TF_CPP_MIN_LOG_LEVEL'), file=sys.stderr)\n"
        "raise SystemExit(0)\n"
    )
    code = f"import importlib, skneural\nif {name!r}[0] == '_': importlib.import_module('skneural.{name}')\n"
    code += f"else: skneural.{name}\n"
    code += "raise AssertionError('TensorFlow was not imported')"
    said = _stderr_of(code, PYTHONPATH=str(tmp_path))
    level = "2" if Path("/proc/driver/nvidia").exists() or Path("/dev/dxg").exists() else "3"
    assert said == f"E0000 00:00:1.5  1 x.cc:1] broken\nlevel {level}\n"
    if name == "DenseNetClassifier":
        assert "oneDNN" not in (said := _stderr_of(code, PYTHONPATH=str(tmp_path), TF_CPP_MIN_LOG_LEVEL="1"))
        assert said.endswith("level 1\n")
        assert "oneDNN is on\n" in _stderr_of(code, PYTHONPATH=str(tmp_path), TF_CPP_MIN_LOG_LEVEL="0")
