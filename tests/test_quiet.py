"""A loop over models writes nothing to the standard error stream, whatever trains them."""

from __future__ import annotations

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
