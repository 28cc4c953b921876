"""What a fit shows while it runs: Keras's bar in a terminal, plain lines elsewhere, and the time that is left."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

import skneural
from skneural._engine.loop import progress

X, y = load_digits(return_X_y=True)
X, y = X[:60] / 16, y[:60]
FAMILIES = {
    "dense": lambda **more: skneural.DenseNetClassifier((4,), **more).fit(X, y),
    "tabular": lambda **more: skneural.TabularNetClassifier((4,), **more).fit(X[:, :3], y % 2),
    "autoencoder": lambda **more: skneural.Autoencoder(2, **more).fit(X),
    "Keras": lambda **more: skneural.KerasRegressor(_own_step, loss="mse", **more).fit(X, y),
}


def _own_step():
    import keras

    class OwnStep(keras.Sequential):
        def train_step(self, data):
            return super().train_step(data)

    return OwnStep([keras.layers.Dense(1)])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pipe_gets_a_plain_line_for_each_epoch(family, capsys):
    FAMILIES[family](verbose=1, epochs=2, random_state=0)
    shown = capsys.readouterr().out
    assert "Epoch 2/2" in shown
    assert shown.count(" loss: ") == 2
    assert not set(shown) & {"\r", "\b", "\x1b"}
    assert len(shown.splitlines()) <= 6


def test_a_pipe_is_one_also_where_kernels_are_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert progress.verbosity_here(1) == 2
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None)))
    assert progress.verbosity_here(1) == 1


@pytest.mark.parametrize("family", ["dense", "Keras"])
def test_a_terminal_gets_the_bar_of_keras(family, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    FAMILIES[family](verbose=1, epochs=2, random_state=0)
    shown = capsys.readouterr().out
    assert "\r" in shown
    assert "━━━━" in shown


@pytest.mark.parametrize("family", ["dense", "Keras"])
def test_what_is_left_is_what_the_last_epoch_took_for_each_to_come(family, monkeypatch, capsys):
    times = iter(np.cumsum([0, 10, 60, 3000, *[1] * 100]))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times)))
    FAMILIES[family](verbose=1, epochs=6, random_state=0)
    lines = [line for line in capsys.readouterr().out.splitlines() if "Epoch" in line]
    assert lines == [
        "Epoch 1/6",
        "At most 50 s left. Epoch 2/6",
        "At most 4 min left. Epoch 3/6",
        "At most 2 h left. Epoch 4/6",
        "At most 2 s left. Epoch 5/6",
        "Epoch 6/6",
    ]
