"""A trained network and one of fixed kernels that answer together, in the place of a single network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural import _engine
from skneural._architectures.kernels import KERNELS, OUTPUTS
from skneural._architectures.sequence_layers import WeightedMean

from .kernel_numbers import KernelNumbers, draw_kernels
from .left_out_ridge import mean_of_solutions, solve_ridge, temperature

Array = NDArray[Any]

# The most rows that the layer behind the kernels is solved for: its time and memory grow with their square.
MOST_ROWS = 4096
# How much their answer counts beside that of the network that is trained on the same rows.
_KERNELS_COUNT = 2


def rows_to_see(n_rows: int, seed: int) -> slice | NDArray[np.intp]:
    """Choose the rows that the kernels see: all of them, or so many that are drawn."""
    if n_rows <= MOST_ROWS:
        return slice(None)
    return np.sort(np.random.default_rng(seed).choice(n_rows, MOST_ROWS, replace=False))


class Mixture:
    """What is trained in steps, if there is anything, and fixed kernels with a layer that is solved for."""

    def __init__(self, trained: _engine.Network | None, kernels: _engine.Network, share: float = 0.0) -> None:
        self.trained = trained
        self.kernels = kernels
        # What the kernels have to say in the mean; zero before they are solved for.
        self.share = share

    def draw(self, sequences: Array, weights: Array | None, dilations: Any, seed: int) -> None:
        """Draw the kernels for scaled training sequences, NaN where there is no step."""
        numbers: KernelNumbers = draw_kernels(sequences, weights, dilations, np.random.default_rng(seed))
        arrays = [numbers.difference_scale, numbers.channels, numbers.thresholds, numbers.random_kernels]
        self.kernels.assign_weights(KERNELS, arrays)

    def solve(self, X: Array, targets: Array, weights: Array | None, *, kind: str, seed: int) -> None:
        """Solve for the layer behind the kernels.

        ``targets`` has shape (n, n_outputs); of classes they are 1 and -1. ``kind`` is "softmax", "sigmoid", or
        "linear" for outputs that no probability is made of.
        """
        n_rows, rows = len(X), rows_to_see(len(X), seed)
        X, targets, weights = X[rows], targets[rows], None if weights is None else weights[rows]
        features = self.features(X)
        # The mean of two layers, of which one sees no differences from step to step, is better than either.
        kernel, bias, left_out = mean_of_solutions(
            [
                solve_ridge(features[:, : features.shape[1] // 2], targets, weights),
                solve_ridge(features, targets, weights),
            ]
        )
        factor = 1.0
        if kind != "linear":
            factor = temperature(left_out, targets, weights, is_exclusive=kind == "softmax")
        self.kernels.assign_weights(OUTPUTS, [factor * kernel, factor * bias])
        seen = _KERNELS_COUNT * len(X)
        self.share = 1.0 if self.trained is None else seen / (seen + n_rows)

    def features(self, X: Array) -> NDArray[np.float32]:
        """Return what the kernels see in sequences, shape (n, n_features)."""
        return _engine.predict(self.kernels, X, output=KERNELS)

    def predict(self, X: Any) -> NDArray[np.float32]:
        """Return the mean of both answers."""
        answers = [(1.0 - self.share, self.trained), (self.share, self.kernels)]
        sums = sum(share * _engine.predict(one, X) for share, one in answers if one is not None and share)
        return np.asarray(sums, np.float32)

    # --- what an estimator asks of its network ------------------------------------------------------------------

    @property
    def state(self) -> tuple[_engine.State | None, _engine.State, float]:
        """The states of both, and the share."""
        return None if self.trained is None else self.trained.state, self.kernels.state, self.share

    @state.setter
    def state(self, state: tuple[_engine.State | None, _engine.State, float]) -> None:
        trained, kernels, self.share = state
        if self.trained is not None and trained is not None:
            self.trained.state = trained
        self.kernels.state = kernels

    @property
    def blueprint(self) -> _engine.Blueprint | None:
        """That of what is trained."""
        return self.kernels.blueprint if self.trained is None else self.trained.blueprint

    @property
    def is_materialised(self) -> bool:
        """The Keras model is put together when it is asked for."""
        return False

    @property
    def model(self) -> keras.Model:
        """A Keras model whose output is the mean of both, compiled as the one that is trained."""
        networks = [("trained", self.trained, 1.0 - self.share), ("fixed", self.kernels, self.share)]
        models = [(name, one.snapshot().model, share) for name, one, share in networks if one is not None and share]
        for name, model, _ in models:
            model.name = name
        inputs = keras.Input(models[0][1].input_shape[1:], dtype=models[0][1].inputs[0].dtype)
        answers = [model(inputs) for _, model, _ in models]
        output = answers[0] if len(answers) == 1 else WeightedMean([share for *_, share in models])(answers)
        joined = keras.Model(inputs, output, name="trained_and_fixed")
        if self.blueprint is not None:
            self.blueprint.compile(joined)
            # Without its variables an optimizer cannot be restored from a file.
            joined.optimizer.build(joined.trainable_variables)
        return joined

    def snapshot(self) -> Mixture:
        """Copy both with their present states."""
        trained = None if self.trained is None else self.trained.snapshot()
        return Mixture(trained, self.kernels.snapshot(), self.share)

    def update_numbers(self, numbers: Mapping[Any, float]) -> None:
        """Set the learning rate and its like."""
        if self.trained is not None:
            self.trained.update_numbers(numbers)
