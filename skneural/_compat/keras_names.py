"""Keras's and TensorFlow's private names that skneural needs, each with its version, link and reason."""

from __future__ import annotations

import ctypes
import logging
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state
from keras.src.models.functional import Functional
from keras.src.optimizers.base_optimizer import BaseOptimizer
from keras.src.random.seed_generator import global_seed_generator
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.framework import ops

from skneural._seeds import GLOBAL_GENERATORS

_UNCOMPILED = threading.RLock()
# Keras 3.15: what tells objects apart without changing what they compute, what keeps track of a metric's variables, and
# where random initializers hold the seed that was given and the one that is used.
NAMES_WITHOUT_EFFECT = {"name", "_name", "_auto_config", "built", "_built", "_lock", "_build_input_shape"}
TRACKING_NAMES = {"_tracker", "_variables", "_metrics"}
SEED_NAMES = ("seed", "_init_seed")


@contextmanager
def untouched_python_random() -> Iterator[None]:
    """Put Python's global generator back as it was: Keras draws the seed of every layer that has none from it.

    Keras 3.15, https://github.com/keras-team/keras/blob/v3.15.1/keras/src/random/seed_generator.py
    (``make_default_seed``). It can go when Keras takes such seeds from elsewhere.
    """
    with GLOBAL_GENERATORS:
        state = random.getstate()
        try:
            yield
        finally:
            random.setstate(state)


@contextmanager
def names_from_the_start() -> Iterator[None]:
    """Number layers and variables without names as if they were the first in this thread: dense, dense_1, ...

    Keras 3.15, https://github.com/keras-team/keras/blob/v3.15.1/keras/src/utils/naming.py: it counts on for ever, and
    TensorFlow's eager runtime keeps some 30 kB for each name of a variable that it has seen. Clearing that store would
    start the user's seeded random operations from the beginning.
    """
    counts = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", counts)


def make_global_seed_generator() -> None:
    """Make the generator of this thread that ``keras.random`` draws seeds from, unless there is one (Keras 3.15).

    Keras makes it at its first use, and would make it within a graph that stands then, for good.
    """
    with untouched_python_random():
        global_seed_generator()


def flatten_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Every layer inside a model or layer, those inside other layers included, outer ones first.

    Keras 3.15, ``Layer._flatten_layers``: the public ``Model.layers`` stops at the first level.
    """
    return list(model._flatten_layers(include_self=False, recursive=True))


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Give the arguments of ``compile`` as the user passed them, objects and functions included.

    Keras 3.15, ``Trainer._compile_config``: the public ``get_compile_config`` serialises them, which a function
    defined inside another does not survive.
    """
    return dict(model._compile_config.config)


@contextmanager
def uncompiled(model: keras.Model) -> Iterator[None]:
    """Let Keras take a model for one that is not compiled: it would copy the loss and the optimizer by their configs.

    Keras 3.15: ``clone_model`` and ``saving_lib`` ask ``get_compile_config`` and save what ``optimizer`` holds.
    """
    with _UNCOMPILED:
        held = {name: vars(model)[name] for name in ("optimizer", "compiled") if name in vars(model)}
        vars(model).update(optimizer=None, get_compile_config=lambda: None, compiled=False)
        try:
            yield
        finally:
            for name in ("optimizer", "compiled", "get_compile_config"):
                del vars(model)[name]
            vars(model).update(held)


def initial_epoch_of(model: keras.Model) -> int | None:
    """Give the epoch that a callback wants to go on from.

    Keras 3.15, ``Trainer._initial_epoch``: ``BackupAndRestore`` sets it, and ``fit`` reads it.
    """
    epoch: int | None = model._initial_epoch
    return epoch


def take_initial_epoch(model: keras.Model) -> int | None:
    """Give the same, once: a later training of the model begins where it is told to (Keras 3.15)."""
    epoch = initial_epoch_of(model)
    model._initial_epoch = None
    return epoch


def compiled_metrics(model: keras.Model) -> keras.metrics.Metric | None:
    """Give the container of the metrics that were passed to ``compile``.

    Keras 3.15, ``Trainer._compile_metrics``: the public ``Model.metrics`` mixes it with the loss and the layers' own.
    """
    return model._compile_metrics


def weighted_metrics(container: keras.metrics.Metric) -> list[keras.metrics.Metric]:
    """Give those of a built container's metrics that heed the rows' weights (Keras 3.15)."""
    return [metric for one in container._flat_weighted_metrics if one is not None for metric in one.metrics]


def is_built(metric: keras.metrics.Metric) -> bool:
    """Tell whether a metric has its variables; some make them when they first see data (Keras 3.15)."""
    return bool(getattr(metric, "_built", True))


def wrapped_function(metric: keras.metrics.Metric) -> Any:
    """Give the function that a metric averages, None for a metric of another kind (Keras 3.15)."""
    return getattr(metric, "_fn", None)


def wrapped_arguments(one: keras.metrics.Metric | keras.losses.Loss) -> dict[str, Any]:
    """Give the arguments with which a loss or a metric calls its function (Keras 3.15)."""
    return dict(getattr(one, "_fn_kwargs", {}))


def is_overridden(callback: keras.callbacks.Callback, method: str) -> bool:
    """Tell whether a callback defines a hook itself.

    Keras 3.15 marks the empty hooks of ``Callback`` with ``_is_default``.
    """
    return not getattr(getattr(callback, method), "_is_default", False)


def clear_losses(model: keras.Model) -> None:
    """Forget the identities of losses that layers added in an earlier trace (Keras 3.15, ``Layer._clear_losses``)."""
    model._clear_losses()


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Give an optimizer's moving averages of the weights, empty unless ``use_ema`` (Keras 3.15)."""
    return list(optimizer._model_variables_moving_average) if optimizer.use_ema else []


def untracked(value: Any) -> Any:
    """Give lists and dicts as they were before Keras has put its own in their place.

    Keras 3.15, ``Tracker``: in layers, metrics and optimizers. They are no lists to a pickle, and know their owner.
    """
    if isinstance(value, list):
        return [untracked(item) for item in value]
    if isinstance(value, dict):
        return {name: untracked(item) for name, item in value.items()}
    return value


def optimizer_config(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Give an optimizer's config with its learning rate schedule as it is, which its own config may not tell.

    Keras 3.15, ``BaseOptimizer._learning_rate``: ``get_config`` serialises a schedule, and so loses one of a user's
    own that has no ``get_config`` or an incomplete one.
    """
    schedule = vars(optimizer).get("_learning_rate")
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        config: dict[str, Any] = untracked(optimizer.get_config())
        return config
    twin = object.__new__(type(optimizer))
    vars(twin).update(vars(optimizer), _learning_rate=None)
    return {**untracked(twin.get_config()), "learning_rate": schedule}


def names_of_every_layer() -> set[str]:
    """Give the names of what Keras keeps in each layer, once it is built too (Keras 3.15)."""
    return {*vars(keras.layers.Layer()), "_build_shapes_dict"}


def is_of_tensorflow(name: str) -> bool:
    """Tell whether TensorFlow keeps an attribute of this name in what holds variables (TensorFlow 2.21)."""
    return name.startswith("_self_")


def unconnected(operation: keras.Operation) -> keras.Operation:
    """Copy an operation that is no layer, without its places in graphs (Keras 3.15, ``Operation._inbound_nodes``)."""
    copy = object.__new__(type(operation))
    vars(copy).update(vars(operation), _inbound_nodes=[], _outbound_nodes=[])
    return copy


def leaves_weights_out(optimizer: keras.optimizers.Optimizer) -> bool:
    """Tell whether ``exclude_from_weight_decay`` was called, which no config tells (Keras 3.15)."""
    return bool(
        getattr(optimizer, "_exclude_from_weight_decay", None)
        or getattr(optimizer, "_exclude_from_weight_decay_pattern", None)
    )


def replace_moments(layer: keras.layers.BatchNormalization, moments: Any) -> None:
    """Let a batch normalisation layer compute mean and variance with ``moments(inputs, mask)`` (Keras 3.15).

    ``BatchNormalization._moments`` is the only place where rows meet; the public mask argument adds an epsilon to the
    row count and loses the axis of a single feature.
    """
    layer._moments = moments


def make_callable(session: tf.compat.v1.Session, feeds: list[str], fetches: list[str]) -> Any:
    """Give a function from arrays to arrays that runs a session, which feeds and fetches tensors by name.

    TensorFlow 2.21, ``BaseSession._make_callable_from_options``: the public ``make_callable`` goes through
    ``Session.run``, which costs 0.2 ms a call in Python.
    """
    options = config_pb2.CallableOptions()
    options.feed.extend(feeds)
    options.fetch.extend(fetches)
    return session._make_callable_from_options(options)


@contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Keep TensorFlow's advice on functions that are traced often away from the log.

    TensorFlow 2.21, ``tensorflow/python/eager/polymorphic_function/polymorphic_function.py``: it counts by the code of
    a function, and takes those of one model after the other, each traced once, for one that is traced again and again.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = tf.get_logger()
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def give_memory_back() -> None:
    """Let the C library give freed memory back to the system: glibc keeps most of what LLVM has compiled in."""
    if sys.platform == "linux":
        # Other C libraries have no such function.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def forget_gradients(definition: Any) -> None:
    """Unregister the gradients of functions with ``tf.custom_gradient`` in the definition of a graph.

    TensorFlow 2.21 registers each of them for good when it traces the function, and with it keeps the whole graph
    (https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/ops/custom_gradient.py,
    ``_graph_mode_decorator``).
    """
    inner = (node for function in definition.library.function for node in function.node_def)
    for node in (*definition.node, *inner):
        if "_gradient_op_type" in node.attr:
            ops.gradient_registry._registry.pop(node.attr["_gradient_op_type"].s.decode(), None)


@contextmanager
def trainable_by_workers(model: keras.Model, batch: tuple[Any, ...]) -> Iterator[None]:
    """Build a model from a batch of arrays, and let Keras's fit train it under a strategy of several workers.

    Keras builds it from the mean of a distributed batch, and takes the mean over the first axis of losses that are one
    number, neither of which works with several workers. What the steps give here is what one replica has counted; the
    numbers of an epoch are those of all, from the metrics. Keras 3.15, https://github.com/keras-team/keras/blob/
    v3.15.1/keras/src/backend/tensorflow/trainer.py (``_maybe_symbolic_build``, ``reduce_per_replica``). It can go when
    a ``MultiWorkerMirroredStrategy`` is tested there.
    """
    strategy = tf.distribute.get_strategy()

    def of_steps(step: Any) -> Any:
        @tf.function(reduce_retracing=True)
        def run(iterator: Any) -> Any:
            results = strategy.run(step, args=(next(iterator),))
            return tf.nest.map_structure(lambda one: strategy.experimental_local_results(one)[0], results)

        return run

    model._symbolic_build(data_batch=batch)
    model._maybe_symbolic_build = lambda iterator=None, data_batch=None: None
    model.train_function, model.test_function = of_steps(model.train_step), of_steps(model.test_step)
    try:
        yield
    finally:
        model.train_function = model.test_function = None
        del model._maybe_symbolic_build


class _StatelessOptimizer(keras.optimizers.Optimizer):
    """The methods that Keras's TensorFlow optimizers override for ``tf.distribute``, taken back from their base.

    Keras 3.15, https://github.com/keras-team/keras/blob/v3.15.1/keras/src/backend/tensorflow/optimizer.py. It can go
    when ``stateless_apply`` works on TensorFlow.
    """

    stateless_apply = BaseOptimizer.stateless_apply
    assign = BaseOptimizer.assign
    assign_add = BaseOptimizer.assign_add
    assign_sub = BaseOptimizer.assign_sub
    add_variable_from_reference = BaseOptimizer.add_variable_from_reference
    _var_key = BaseOptimizer._var_key
    _apply_weight_decay = BaseOptimizer._apply_weight_decay
    _backend_update_step = BaseOptimizer._backend_update_step

    def _backend_apply_gradients(self, grads: list[Any], trainable_variables: list[Any]) -> None:
        """Update without conditional assignments, which a stateless scope cannot follow (as Keras does for JAX)."""
        steps = self.gradient_accumulation_steps
        if steps:
            self._apply_accumulated(grads, trainable_variables, steps)
        else:
            self._update(grads, trainable_variables)
        if self.use_ema:
            self._update_model_variables_moving_average(self._trainable_variables)
            if self.ema_overwrite_frequency:
                overwrites = keras.ops.equal((self.iterations + 1) % self.ema_overwrite_frequency, 0)
                for variable, average in zip(
                    self._trainable_variables, self._model_variables_moving_average, strict=True
                ):
                    variable.assign(keras.ops.where(overwrites, average.value, variable.value))

    def _update(self, grads: list[Any], trainable_variables: list[Any]) -> None:
        grads = self._clip_gradients(grads)
        self._apply_weight_decay(trainable_variables)
        self._backend_update_step(grads, trainable_variables, self.learning_rate)

    def _apply_accumulated(self, grads: list[Any], trainable_variables: list[Any], steps: int) -> None:
        is_update = keras.ops.equal((self._iterations + 1) % steps, 0)
        sums = [self._accumulated_gradients[self._get_variable_index(variable)] for variable in trainable_variables]
        totals = [gradient + total.value for gradient, total in zip(grads, sums, strict=True)]
        variables = [*trainable_variables, *self.variables]
        before = [variable.value for variable in variables]
        self._update([total / steps for total in totals], trainable_variables)
        for variable, old in zip(variables, before, strict=True):
            variable.assign(keras.ops.where(is_update, variable.value, old))
        for variable, total in zip(sums, totals, strict=True):
            variable.assign(keras.ops.where(is_update, keras.ops.zeros_like(total), total))


def stateless_optimizer(base: type[keras.optimizers.Optimizer]) -> type[keras.optimizers.Optimizer]:
    """Derive a class of optimizers whose ``stateless_apply`` works on TensorFlow."""
    # Behind the optimizer's own class, whose overrides stay, and before the base classes.
    stateless: Any = type(f"Stateless{base.__name__}", (base, _StatelessOptimizer), {})
    return stateless


def calls_of(model: keras.Model) -> list[tuple[Any, list[Any], Any]] | None:
    """Give a functional model's layers in the order of their calls, with the tensors taken and the one given.

    None for a model whose class computes what it likes. Keras 3.15, ``Function._nodes_by_depth``.
    """
    if not isinstance(model, Functional) or type(model).call is not Functional.call:
        return None
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    return [(node.operation, node.input_tensors, node.outputs[0]) for node in nodes if not node.is_input]
