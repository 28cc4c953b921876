"""What the recurrent families share: which parts the network has, sequences, and one training run."""

from __future__ import annotations

import math
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils import InputTags, Tags

from skneural import _engine
from skneural._architectures.fixed_kernels import competing_dilations, dilations_for
from skneural._architectures.kernels import KernelArchitecture, build_kernels
from skneural._architectures.recurrent import CELLS, RecurrentArchitecture, build_recurrent
from skneural._architectures.sequence_layers import POOLINGS
from skneural._compat.scikit_names import Interval, StrOptions
from skneural._estimators.compiling import averages_rows
from skneural._estimators.keras_arguments import Schedule
from skneural._estimators.targets import mean_and_scale
from skneural._rows.containers import rows_in_objects
from skneural._rows.sequences import validate_sequences
from skneural._rows.training_rows import TrainingRows

from .base import SHARED_CONSTRAINTS, FamilyEstimator, Head, check_sizes, is_one_size
from .blueprint import FamilyBlueprint, Plan
from .paragraphs import Paragraphs
from .recurrent_mixture import Mixture, rows_to_see

PARTS = ("recurrent", "convolutional", "kernels")

_SIZES: list[Any] = ["array-like", Interval(Integral, 1, None, closed="left")]
RECURRENT_CONSTRAINTS = {
    **SHARED_CONSTRAINTS,
    "parts": [StrOptions({"auto", *PARTS}), list, tuple],
    "cell": [StrOptions(set(CELLS))],
    "units": _SIZES,
    "bidirectional": ["boolean"],
    "pooling": [StrOptions(set(POOLINGS))],
    "filters": _SIZES,
    "kernel_size": _SIZES,
    "hidden_layer_sizes": _SIZES,
    "sequence_shape": ["array-like", None],
    "n_averaged_steps": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "standardize": ["boolean"],
    "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
}
# The number of steps that epochs="auto" aims at, and the fewest and most epochs that it gives.
_AUTO_STEPS = 1500
_AUTO_EPOCHS = (20, 500)
# The length that n_averaged_steps="auto" aims at.
_AUTO_LENGTH = 128


class RecurrentNet(FamilyEstimator):
    """Recurrent layers, beside them perhaps convolutions, and dense layers behind both."""

    _parameter_paragraphs: ClassVar[Paragraphs] = {
        "parts": (
            '"auto", or one or several of {"recurrent", "convolutional", "kernels"}',
            "What the network consists of, side by side: recurrent layers, convolutions that are trained, and "
            "fixed kernels, 84 given ones and 512 random ones at several dilations, with a linear layer that is "
            'solved for by least squares. The answers of the kernels and of what is trained are averaged. "auto" '
            "takes, of a classifier, all three; the recurrent layers alone where ``filters`` is ``()``, the "
            "convolutions alone where ``units`` is; a regressor takes kernels only where they are named.",
        ),
        "units": (
            "int or sequence of int",
            "Units of each recurrent layer; ``()`` leaves them out.",
        ),
        "cell": (
            '{"gru", "lstm", "simple"}',
            "What a recurrent layer is made of: gated recurrent units, long short-term memory, or the "
            "plain tanh recurrence.",
        ),
        "bidirectional": (
            "bool",
            "Whether each recurrent layer reads the sequence from both ends, with ``units`` for each way.",
        ),
        "pooling": (
            '{"last", "max", "average"}',
            "What becomes of the last recurrent layer's outputs: the last one, or their maximum or mean over time.",
        ),
        "filters": (
            "int or sequence of int",
            "Filters of each convolution over time in a branch beside the recurrent one, whose mean over "
            "time is joined to it; ``()`` leaves the branch out.",
        ),
        "kernel_size": (
            "int or sequence of int",
            "Width of the convolutions in time steps, one for all or one per convolution; further ones are ignored.",
        ),
        "hidden_layer_sizes": (
            "int or sequence of int",
            "Units of each dense layer behind both branches.",
        ),
        "sequence_shape": (
            "(int, int) or None",
            "Timesteps and channels of the rows of a flat X, which hold the channels of the first step, "
            "then those of the second, and so on. None means one channel.",
        ),
        "n_averaged_steps": (
            'int or "auto"',
            "How many steps that follow one another become one, their mean, before recurrent layers and trained "
            'convolutions; the kernels see all steps. "auto" shortens sequences to at most 128 steps where there are '
            "kernels, and else leaves them as they are.",
        ),
        "standardize": (
            "bool",
            "Whether the network scales each channel to mean zero and standard deviation one over all "
            "steps of all training sequences, padding and sequences of weight zero left out.",
        ),
        "activation": (
            "str, callable or sequence of them",
            "Activation of the convolutions and then of the dense layers, one for all or one per layer: "
            '"relu", "tanh", or any other of Keras\'s.',
        ),
        "dropout": (
            "float",
            "Fraction in [0, 1) of the inputs of each dense layer, the output layer among them, that is "
            "dropped in a training step.",
        ),
        "batch_normalization": (
            "bool",
            "Whether each convolution and dense layer is normalised over the batch before its activation.",
        ),
        "l2": (
            "float",
            "Weight of the sum of squared kernel weights, recurrent ones among them, in the objective.",
        ),
        "epochs": (
            'int or "auto"',
            'Passes over the rows; the most passes with ``early_stopping``. "auto" makes 1500 steps of '
            "them, but at least 20 and at most 500 passes.",
        ),
        "batch_size": (
            'int or "auto"',
            'Rows per step. "auto" is the power of two nearest to n_samples / 16, within 16 and 128.',
        ),
    }

    _attribute_paragraphs: ClassVar[Paragraphs] = {
        "model_": (
            "keras.Sequential",
            "The trained network. That of a classifier with all ``parts`` is put together when it is asked for: a "
            "changed one has an effect as soon as it is given back, ``estimator.model_ = changed``.",
        ),
        "n_features_in_": (
            "int",
            "The number of columns seen in fit; only where X was flat rows.",
        ),
        "engine_": (
            '{"compiled", "keras", "solved"}',
            "What trained: the compiled engine; Keras's own ``fit``, with the reason logged at level INFO; or, with "
            '``parts="kernels"``, nothing, for least squares have solved for the weights.',
        ),
    }

    _allows_nd = True
    _has_kernels_by_itself = False
    _build = staticmethod(build_recurrent)
    _first_fit_parameters: ClassVar[tuple[str, ...]] = ("parts", "standardize")
    _reads_in_parts = False
    _count_words: ClassVar = {"batch_size": ("auto",), "epochs": ("auto",), "n_averaged_steps": ("auto",)}

    # --- parts --------------------------------------------------------------------------------------------------

    def _parts(self) -> tuple[str, ...]:
        """Return the parts of the network, in the order of ``PARTS``."""
        sizes = {"recurrent": self._sizes("units"), "convolutional": self._sizes("filters")}
        if self.parts == "auto":
            trained = tuple(part for part in PARTS if sizes.get(part))
            if not trained:
                raise ValueError(
                    f"{type(self).__name__} needs recurrent layers or convolutions. Got units=() and filters=(): give "
                    "one of them a size, or parts='kernels'."
                )
            return (*trained, "kernels") if self._has_kernels_by_itself and len(trained) == len(sizes) else trained
        named = (self.parts,) if isinstance(self.parts, str) else tuple(self.parts)
        if not named or len(set(named)) < len(named) or not set(named) <= set(PARTS):
            raise ValueError(
                f"The 'parts' parameter of {type(self).__name__} must be 'auto', or one or several of {PARTS}, each at "
                f"most once. Got {self.parts!r}."
            )
        for part, size in (("recurrent", "units"), ("convolutional", "filters")):
            if part in named and not sizes[part]:
                raise ValueError(
                    f"The 'parts' parameter of {type(self).__name__} names {part!r}, but {size} is empty: give it a "
                    "size."
                )
        return tuple(part for part in PARTS if part in named)

    def _sizes(self, name: str) -> tuple[int, ...]:
        return check_sizes(type(self).__name__, name, getattr(self, name))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._parts()

    def _n_averaged(self) -> int:
        if self.n_averaged_steps == "auto":
            return math.ceil(self._usual_length / _AUTO_LENGTH) if "kernels" in self._parts() else 1
        return int(self.n_averaged_steps)

    def _learn(self, rows: TrainingRows) -> None:
        super()._learn(rows)
        lengths = (~np.isnan(rows.X).any(axis=2)).sum(axis=1)
        present = lengths if rows.weights is None else lengths[rows.weights > 0]
        self._usual_length = int(np.median(present))

    # --- networks -----------------------------------------------------------------------------------------------

    def _architecture(self, head: Head) -> RecurrentArchitecture:
        parts = self._parts()
        units = self._sizes("units") if "recurrent" in parts else ()
        filters = self._sizes("filters") if "convolutional" in parts else ()
        hidden = self._sizes("hidden_layer_sizes")
        return RecurrentArchitecture(
            n_channels=int(self.X_shape_[2]),
            cell=self.cell,
            units=units,
            bidirectional=bool(self.bidirectional),
            pooling=self.pooling,
            filters=filters,
            kernel_sizes=self._kernel_sizes(len(filters)),
            hidden_layer_sizes=hidden,
            activations=self._activations({"convolution": len(filters), "hidden layer": len(hidden)}),
            n_outputs=head.n_outputs,
            output_activation=head.activation,
            dropout=float(self.dropout),
            batch_normalization=bool(self.batch_normalization) and bool(filters or hidden),
            l2=float(self.l2),
            kernel_initializer=self.kernel_initializer,
            n_averaged_steps=self._n_averaged(),
        )

    def _kernel_architecture(self, head: Head) -> KernelArchitecture:
        return KernelArchitecture(
            n_channels=int(self.X_shape_[2]),
            dilations=dilations_for(self._usual_length),
            competing=competing_dilations(self._usual_length),
            n_outputs=head.n_outputs,
            output_activation=head.activation,
        )

    def _kernel_plan(self) -> Plan:
        return replace(super()._plan(), build=build_kernels, architecture=self._kernel_architecture(self._head()))

    def _plan(self) -> Plan:
        return self._kernel_plan() if self._parts() == ("kernels",) else super()._plan()

    def _kernel_sizes(self, n_convolutions: int) -> tuple[int, ...]:
        """Return one width per convolution."""
        sizes = check_sizes(type(self).__name__, "kernel_size", self.kernel_size)
        if is_one_size(self.kernel_size):
            return sizes * n_convolutions
        if len(sizes) < n_convolutions:
            raise ValueError(
                f"The 'kernel_size' parameter of {type(self).__name__} must be one width, or one per convolution. "
                f"Got {len(sizes)} for {n_convolutions} convolutions."
            )
        return sizes[:n_convolutions]

    # --- sequences ----------------------------------------------------------------------------------------------

    def _validate_rows(self, X: Any, *, reset: bool) -> NDArray[Any]:
        sequences = rows_in_objects(X)
        if not reset:
            self._check_is_several(X)
        return validate_sequences(
            self,
            X if sequences is None else sequences,
            reset=reset,
            sequence_shape=self._checked_sequence_shape(),
            n_channels=None if reset else int(self.X_shape_[2]),
        )

    def _check_is_several(self, X: Any) -> None:
        """Raise for one sequence in the place of an array of them."""
        one = tuple(self.X_shape_[1:])
        if self.sequence_shape is None and one[0] > 1 and getattr(X, "shape", ()) == one:
            raise ValueError(
                f"X of {type(self).__name__} has the shape {one} of one sequence in fit. Give it as X[np.newaxis], of "
                f"shape (1, {one[0]}, {one[1]}); sequences of one time step have the shape (n, 1, {one[1]})."
            )

    def _checked_sequence_shape(self) -> tuple[int, int] | None:
        if self.sequence_shape is None:
            return None
        shape = check_sizes(type(self).__name__, "sequence_shape", self.sequence_shape)
        if len(shape) != 2:
            raise ValueError(
                f"The 'sequence_shape' parameter of {type(self).__name__} must be (timesteps, channels). "
                f"Got {self.sequence_shape!r}."
            )
        return shape[0], shape[1]

    def _build_network(self, seed: int) -> Any:
        if keras.config.dtype_policy().variable_dtype == "bfloat16":
            # The first weights from step to step are orthogonal, of a decomposition that TensorFlow 2.21 lacks there.
            raise ValueError(
                f"{type(self).__name__} cannot draw first weights of dtype bfloat16. Use "
                "keras.config.set_dtype_policy('mixed_bfloat16'), which keeps weights in float32."
            )
        network = super()._build_network(seed)
        if "kernels" not in self._parts():
            return network
        self._check_suits_kernels()
        if self._parts() == ("kernels",):
            return Mixture(None, network)
        return Mixture(network, _engine.Network.from_blueprint(FamilyBlueprint.of(self._kernel_plan()), seed))

    def _prepare(self, rows: Any) -> None:
        super()._prepare(rows)
        scaling = _scaling_of(rows.X, rows.weights) if self.standardize else None
        mixture = self._network if isinstance(self._network, Mixture) else None
        for network in [self._network] if mixture is None else [mixture.trained, mixture.kernels]:
            if scaling is not None and network is not None:
                network.state = _with_scaling(network.state, scaling)
        if mixture is not None:
            seen = rows_to_see(rows.n_rows, self._seeds.split)
            sequences, weights = rows.X[seen], None if rows.weights is None else rows.weights[seen]
            scaled = sequences if scaling is None else (sequences - scaling[0]) / scaling[1]
            dilations = self._kernel_architecture(self._head()).dilations
            mixture.draw(scaled, weights, dilations, self._seeds.weights)

    def _tags(self, kind: str, **specific: Any) -> Tags:
        tags = super()._tags(kind, **specific)
        # NaN pads the ends of sequences; missing values within them, which allow_nan would promise, are refused.
        tags.input_tags = InputTags(sparse=False, three_d_array=True, allow_nan=False)
        return tags

    # --- one training run ---------------------------------------------------------------------------------------

    def _run(
        self, train: TrainingRows, held_out: TrainingRows | None, settings: _engine.Settings, schedule: Schedule
    ) -> _engine.Result:
        mixture = self._network
        if not isinstance(mixture, Mixture):
            return super()._run(train, held_out, settings, schedule)
        if mixture.trained is not None:
            result = super()._run(train, held_out, settings, schedule)
        elif schedule.is_partial:
            raise ValueError(
                f"{type(self).__name__}(parts='kernels') solves for its weights and cannot learn row after row. Call "
                "fit with all rows, or add 'recurrent' or 'convolutional' to parts."
            )
        else:
            result = _engine.Result({"loss": []}, 0, None, "epochs", "solved")
        if not schedule.is_partial:
            targets = self._kernel_targets(train.y)
            mixture.solve(train.X, targets, train.weights, kind=self._kernel_kind(), seed=self._seeds.split)
        return result

    def _trained_network(self) -> Any:
        return self._network.trained if isinstance(self._network, Mixture) else self._network

    def _network_outputs(self, X: Any) -> NDArray[np.float32]:
        network = self._network
        return network.predict(X) if isinstance(network, Mixture) else super()._network_outputs(X)

    def _kernel_targets(self, y: Any) -> NDArray[np.float64]:
        """Return what the linear layer behind the kernels is to give, shape (n, n_outputs)."""
        return np.asarray(y, np.float64).reshape(len(y), -1)

    def _kernel_kind(self) -> str:
        """Return what becomes of the linear layer's outputs."""
        return "linear"

    def _check_suits_kernels(self) -> None:
        """Raise for a loss that least squares say nothing of."""

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        if epochs == "auto":
            return int(np.clip(round(_AUTO_STEPS * batch_size / n_rows), *_AUTO_EPOCHS))
        return super()._n_epochs(epochs, n_rows, batch_size)

    def _auto_batch_size(self, n_rows: int) -> int:
        return int(np.clip(2 ** round(np.log2(max(n_rows, 1) / 16)), 16, 128))

    def _merges_rows(self, network: _engine.Network) -> bool:
        is_normalized = self._architecture(self._head()).batch_normalization
        return not self.dropout and not is_normalized and averages_rows(self._head().loss)


def _scaling_of(X: NDArray[Any], weights: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return mean and scale of the channels of X, shape (n, timesteps, channels), over the steps that are there."""
    per_step = None if weights is None else np.repeat(weights, X.shape[1])
    moments = []
    for values in X.reshape(-1, X.shape[2]).T:
        is_there = ~np.isnan(values) if per_step is None else ~np.isnan(values) & (per_step > 0)
        weighted = None if per_step is None else per_step[is_there]
        moments.append(mean_and_scale(values[is_there].astype(np.float64), weighted, "standard"))
    means, scales = zip(*moments, strict=True)
    return np.array(means), np.array(scales)


def _with_scaling(state: _engine.State, scaling: tuple[NDArray[Any], NDArray[Any]]) -> _engine.State:
    """Put mean and scale of the channels in the network's first two variables."""
    first = [np.array(one, old.dtype) for one, old in zip(scaling, state.variables[:2], strict=True)]
    return _engine.State([*first, *state.variables[2:]], state.optimizer)
