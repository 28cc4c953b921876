"""The engine's own model of an architecture: what programs are traced from and networks draw their first state from."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skneural._compat.keras_names import (
    compiled_metrics,
    flatten_layers,
    give_memory_back,
    is_built,
    make_global_seed_generator,
    moving_averages,
    optimizer_config,
    replace_moments,
    stateless_optimizer,
    untouched_python_random,
)
from skneural._engine.cache import Store
from skneural._engine.distribution import outside_of_strategies
from skneural._engine.identity.compilable import why_not_model, why_not_optimizer
from skneural._engine.identity.parts import optimizer_from
from skneural._engine.obstacles import ObstacleError, obstacle_from
from skneural._engine.records import State

from .dropout import dropped, uniform_numbers
from .ends import ModelInputs, part_of
from .initial_weights import InitialWeights, first_values
from .numbers import dropout_layers, number_slots, penalty_kinds
from .optimizers import LEARNING_RATE_INDEX, first_values_of_known
from .products import let_layers_use_products
from .row_wise import averages_rows, is_row_wise

if TYPE_CHECKING:
    from skneural._engine.records import Blueprint

_logger = logging.getLogger("skneural")
MAX_TEMPLATES = 64
_FIRST_AUGMENTING_STREAM = 2**16
# What TensorFlow calls operations that draw numbers from the state of its global generator.
_STATEFUL_DRAWS = ("Random", "TruncatedNormal", "ParameterizedTruncated", "Multinomial")


@dataclass
class StepInputs:
    """What the layers of a template see of the step that is being traced.

    ``row_mask`` has shape (batch,) and is one for rows that count, or is None where all count. ``is_compiled`` tells
    whether XLA compiles the step.
    """

    numbers: tf.Tensor
    row_mask: tf.Tensor | None
    dropout_key: tf.Tensor
    is_compiled: bool


class Template:
    """A built and compiled model that belongs to the engine, and what can be read off it once.

    Its layers and penalties take their numbers, row mask and dropout masks from ``step`` while a program is traced.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        for layer in flatten_layers(model):
            _turn_tensors_into_arrays(layer)
        self.takes = ModelInputs.of(model)
        self.initial_weights = InitialWeights(model)
        self.optimizer_values: list[NDArray[Any]] = []
        self.learning_rate_index: int | None = None
        self.average_indices: tuple[int, ...] = ()
        self._read_optimizer()
        self.weight_indices = _indices(model.weights, model.variables)
        self.trainable_indices = _indices(model.trainable_variables, model.variables)
        slots = number_slots(model)
        self.number_kinds = tuple(slot.kind for slot in slots)
        self.built_numbers = np.array([slot.read() for slot in slots], np.float32)
        self.step: StepInputs | None = None
        # Steps that XLA has refused.
        self.not_for_xla: set[Hashable] = set()
        self._parts: dict[tuple[str, ...], keras.Model] = {}
        self.y_shape: tuple[int, ...] | None = None

    def _read_optimizer(self) -> None:
        """Read off what the optimizer begins with; one that no program can use is built once the weights are there."""
        model = self.model
        if why_not_optimizer(model.optimizer) is not None:
            return
        self._optimizer_config = optimizer_config(model.optimizer)
        values = first_values_of_known(model.optimizer, model.trainable_variables)
        if values is not None:
            # The optimizer is built when a program is traced.
            self.optimizer_values = values
        elif self.optimizer is not model.optimizer:
            self.optimizer_values = list(first_values(dict(enumerate(self.optimizer.variables))).values())
            self.average_indices = _indices(moving_averages(self.optimizer), self.optimizer.variables)
        if self.optimizer_values and isinstance(self._optimizer_config["learning_rate"], float):
            self.learning_rate_index = LEARNING_RATE_INDEX

    @cached_property
    def obstacle(self) -> str | None:
        """What keeps the model from being compiled, None when nothing is known to."""
        return why_not_model(self.model)

    @cached_property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """An optimizer like the model's, whose state programs hold; the model's own where it cannot be copied.

        It stands in a graph of its own, where it takes no memory and cannot begin with the weights.
        """
        model = self.model
        try:
            with tf.Graph().as_default():
                optimizer = optimizer_from(stateless_optimizer(type(model.optimizer)), self._optimizer_config)
                optimizer.build(model.trainable_variables)
        except Exception as error:
            # Tracing will fail too, and Keras's own loop train.
            _logger.debug("The optimizer cannot be copied: %s.", obstacle_from(error))
            return model.optimizer
        return optimizer

    def with_averages(self, state: State) -> State:
        """Put an optimizer's moving averages in the place of the weights, as Keras does when training ends."""
        if not self.average_indices:
            return state
        variables = list(state.variables)
        for index, average in zip(self.trainable_indices, self.average_indices, strict=True):
            variables[index] = state.optimizer[average]
        return State(variables, state.optimizer)

    @property
    def looks_at_all_rows(self) -> bool:
        """Whether layers compute something over all rows of a call, which those that do not count must not reach."""
        return any(
            isinstance(layer, keras.layers.BatchNormalization) or layer.activity_regularizer is not None
            for layer in flatten_layers(self.model)
        )

    def part(self, output: str | Sequence[str] | None) -> keras.Model:
        """Give the model, or one from its inputs to the layer or layers of these names."""
        if output is None:
            return self.model
        names = (output,) if isinstance(output, str) else tuple(output)
        if names not in self._parts:
            self._parts[names] = part_of(self.model, output)
        return self._parts[names]

    def prepare(self, y_shape: tuple[int, ...], y_dtype: str) -> None:
        """Make the model ready for tracing: metrics built, layers that heed ``step``.

        ``y_shape`` is that of one row's target. The metrics keep to it from then on.
        """
        self.y_shape = y_shape
        metrics = compiled_metrics(self.model)
        if metrics is not None:
            metrics.build(keras.KerasTensor((None, *y_shape), y_dtype), self.model.outputs[0])
            self._build_late_metrics(metrics.metrics)
        self.is_row_wise = is_row_wise(self.model)
        self.is_batch_size_free = self.is_row_wise and averages_rows(self.model)
        self._let_layers_heed_step()
        self.metric_values: list[NDArray[Any]] = [variable.value.numpy() for variable in self.model.metrics_variables]

    def _build_late_metrics(self, metrics: list[keras.metrics.Metric]) -> None:
        """Show a row to the metrics that make their variables only then."""
        assert self.y_shape is not None
        for metric in metrics:
            if not is_built(metric):
                metric.update_state(np.zeros((1, *self.y_shape)), np.zeros((1, *self.model.outputs[0].shape[1:])))
                metric.reset_state()

    def _let_layers_heed_step(self) -> None:
        for index, layer in enumerate(dropout_layers(self.model)):
            layer.call = _HashedDropout(self, layer, index)
        for index, layer in enumerate(_augmenting_layers(self.model)):
            layer.uniform_numbers = _HashedNumbers(self, layer, index)
        for layer in flatten_layers(self.model):
            if isinstance(layer, keras.layers.BatchNormalization):
                replace_moments(layer, _MaskedMoments(self, layer))
            if layer.activity_regularizer is not None and penalty_kinds(layer.activity_regularizer):
                layer.activity_regularizer = _MaskedActivityPenalty(self, layer.activity_regularizer)
        let_layers_use_products(self.model, self)
        places: dict[int, dict[str, int]] = {}
        for index, slot in enumerate(number_slots(self.model)):
            if slot.variable is not None:
                places.setdefault(id(slot.variable), {})[slot.kind] = index
        for variable in self.model.trainable_variables:
            if id(variable) in places:
                variable.regularizer = Penalty(self, places[id(variable)])
        self.weight_decay_index = (
            self.number_kinds.index("weight_decay") if "weight_decay" in self.number_kinds else None
        )


@dataclass
class Penalty(keras.regularizers.Regularizer):
    """The sum of absolute or squared weights, times numbers of the step."""

    template: Template
    places: dict[str, int]

    def __call__(self, weights: tf.Tensor) -> tf.Tensor:
        assert self.template.step is not None
        numbers = tf.cast(self.template.step.numbers, weights.dtype)
        sums = {"l1": lambda values: tf.reduce_sum(tf.abs(values)), "l2": _sum_of_squares}
        penalty = tf.add_n([numbers[place] * sums[kind](weights) for kind, place in self.places.items()])
        # Keras adds it to a loss of this dtype, whatever that of the layer.
        return tf.cast(penalty, keras.config.floatx())


@tf.custom_gradient
def _sum_of_squares(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """As the trace of a product, some four times faster in XLA than a reduction or a product of vectors.

    Those are loops of one addition after the other, while a product of matrices is a kernel with vectors.
    """
    n_rows = 4 if math.prod(values.shape) % 4 == 0 else 1
    rows = tf.reshape(values, [n_rows, -1])
    total = tf.reduce_sum(tf.matmul(rows, rows, transpose_b=True) * tf.eye(n_rows, dtype=values.dtype))
    return total, lambda gradient: 2.0 * gradient * values


@dataclass
class _MaskedActivityPenalty:
    """A penalty on a layer's outputs, of the rows that count."""

    template: Template
    penalty: keras.regularizers.Regularizer

    def __call__(self, outputs: tf.Tensor) -> tf.Tensor:
        step = self.template.step
        if step is not None and step.row_mask is not None:
            mask = tf.cast(step.row_mask, outputs.dtype)
            # Keras divides the penalty by the number of all rows.
            return self.penalty(outputs * _broadcastable(mask, outputs)) * mask.shape[0] / tf.reduce_sum(mask)
        return self.penalty(outputs)


@dataclass
class _MaskedMoments:
    """Mean and variance of the rows that count, over all axes but the normalised one."""

    template: Template
    layer: keras.layers.BatchNormalization

    def __call__(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        axis = self.layer.axis % len(inputs.shape)
        axes = [other for other in range(len(inputs.shape)) if other != axis]
        step = self.template.step
        weights = None
        if step is not None and step.row_mask is not None:
            weights = tf.cast(_broadcastable(step.row_mask, inputs), inputs.dtype)
        if mask is not None:
            mask = tf.cast(tf.expand_dims(mask, -1), inputs.dtype)
            weights = mask if weights is None else weights * mask
        if weights is None:
            return tf.nn.moments(inputs, axes)
        weights = tf.broadcast_to(weights, [size if at in axes else 1 for at, size in enumerate(inputs.shape)])
        total = tf.reduce_sum(weights)
        mean = tf.reduce_sum(inputs * weights, axes, keepdims=True) / total
        deviations = tf.math.squared_difference(inputs, tf.stop_gradient(mean))
        variance = tf.reduce_sum(deviations * weights, axes) / total
        return tf.squeeze(mean, axes), variance


class _HashedDropout:
    """A dropout layer's ``call`` with masks from hashed counters: Keras's own generator costs 1.5 ms a step."""

    def __init__(self, template: Template, layer: keras.layers.Dropout, index: int) -> None:
        self._template = template
        self._index = index
        self._noise_shape = layer.noise_shape
        self._is_spatial = type(layer) is not keras.layers.Dropout
        self._keeps_channels_last = getattr(layer, "data_format", "channels_last") == "channels_last"

    def __call__(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        step = self._template.step
        if not training:
            return inputs
        assert step is not None
        return dropped(inputs, step.numbers[self._index], step.dropout_key, self._index, self._mask_shape(inputs))

    def _mask_shape(self, inputs: tf.Tensor) -> list[int]:
        shape = list(inputs.shape)
        if self._is_spatial:
            kept = {0, len(shape) - 1 if self._keeps_channels_last else 1}
            return [size if axis in kept else 1 for axis, size in enumerate(shape)]
        if self._noise_shape is None:
            return shape
        return [size if given is None else given for given, size in zip(self._noise_shape, shape, strict=True)]


class _HashedNumbers:
    """Where an augmenting layer takes its uniform numbers from: hashed counters, in streams that no dropout uses."""

    def __init__(self, template: Template, layer: Any, index: int) -> None:
        self._template = template
        self._n_per_row = int(layer.n_uniform_numbers)
        self._stream = _FIRST_AUGMENTING_STREAM + index

    def __call__(self, n_rows: int) -> tf.Tensor:
        step = self._template.step
        assert step is not None
        return uniform_numbers(step.dropout_key, self._stream, [n_rows, self._n_per_row])


def _augmenting_layers(model: keras.Model) -> list[Any]:
    """Find the layers that change each row at random in training, by numbers from their ``uniform_numbers(n_rows)``."""
    return [layer for layer in flatten_layers(model) if hasattr(layer, "n_uniform_numbers")]


def _turn_tensors_into_arrays(layer: keras.layers.Layer) -> None:
    """Replace the constant tensors that a layer and its penalties hold, which no other graph can capture."""
    for owner in [layer, *(variable.regularizer for variable in layer.weights if variable.regularizer is not None)]:
        for name, value in list(vars(owner).items()):
            if isinstance(value, tf.Tensor):
                array = tf.get_static_value(value)
                if array is None:
                    raise ObstacleError(f"the layer {layer.name} holds a tensor, {name}, that is no constant")
                setattr(owner, name, array)


def _broadcastable(row_mask: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Give a mask of shape (batch,) the rank of ``values``."""
    return tf.reshape(row_mask, [-1] + [1] * (len(values.shape) - 1))


def _indices(some: Sequence[keras.Variable], all_variables: Sequence[keras.Variable]) -> tuple[int, ...]:
    """Tell where some variables stand among others."""
    index_of = {id(variable): index for index, variable in enumerate(all_variables)}
    return tuple(index_of[id(variable)] for variable in some)


def build_model(blueprint: Blueprint) -> keras.Model:
    """Build the blueprint's model, leaving Python's global generator as it was."""
    with untouched_python_random():
        model = blueprint.build()
        blueprint.compile(model)
    return model


def template_of(blueprint: Blueprint) -> Template:
    """Build the template of a blueprint, in a graph where that is possible: there weights take no memory.

    TensorFlow's eager runtime keeps some 30 kB for each new shape of a variable for good.
    """
    # What a user has written, an activation or an initializer, may want values at once.
    return _template_in_graph(blueprint) or Template(build_model(blueprint))


def _template_in_graph(blueprint: Blueprint) -> Template | None:
    """Build a template in a graph, or None where that fails or would draw other weights than outside of it."""
    make_global_seed_generator()
    try:
        with untouched_python_random(), tf.Graph().as_default() as graph:
            model = blueprint.build()
        # A Sequential whose layers could not be built raises for its missing inputs.
        if not model.inputs or any(one.type.startswith(_STATEFUL_DRAWS) for one in graph.get_operations()):
            return None
        with untouched_python_random():
            blueprint.compile(model)
        return Template(model)
    except Exception as error:
        _logger.debug("A model cannot be built in a graph: %s.", obstacle_from(error))
        return None


def _free_dropped() -> None:
    """Free models at once: their layers refer to each other, and Python may not look for such circles for long."""
    gc.collect()
    give_memory_back()


_templates: Store[Template] = Store(
    MAX_TEMPLATES, name="templates", n_at_once=MAX_TEMPLATES // 4, after_drop=_free_dropped
)


@outside_of_strategies
def kept_template(key: Hashable, make: Callable[[], Template]) -> Template:
    """Give the kept template of an architecture, made if there is none."""
    return _templates.get(key, make)
