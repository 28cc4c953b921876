"""Which training runs the native engine takes: dense networks with the usual losses, metrics and optimizers."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._compat.keras_names import compile_arguments, compiled_metrics, weighted_metrics
from skneural._engine.model.numbers import dropout_layers
from skneural._engine.model.optimizers import OptimizerForm, is_known, optimizer_form
from skneural._engine.model.template import Penalty, Template
from skneural._engine.obstacles import obstacle_from
from skneural._engine.records import Data

from . import extension
from .layers import Activation, Dropout, EncodingForm, Part, Product, encoding_form, parts_of
from .losses import SPARSE_CROSS_ENTROPY, loss_of, metric_of

_EPSILON = 1e-7  # Keras's default
_logger = logging.getLogger("skneural")


@dataclass(frozen=True)
class NativeForm:
    """All that the native engine has to know of a template.

    Kinds are numbers of the engine. ``parts`` has a row for each part: its kind and two numbers. ``drops`` are the
    places of dropout parts, with those of their rates among a program's numbers. ``penalties`` are entries of an array
    of shape (n_kernels, 4) with the place of each one's number. ``weights`` are the places of the weights among the
    model's variables, in the order in which the parts use them. ``metrics`` tells for each metric which it is, and
    whether it heeds the rows' weights. ``n_products`` counts the multiplications for a row.
    """

    n_outputs: int
    parts: NDArray[np.int32]
    drops: Sequence[tuple[int, int]]
    penalties: Sequence[tuple[tuple[int, int], int]]
    weights: Sequence[int]
    optimizer: OptimizerForm
    optimizer_kind: int
    weight_decay: int | None
    loss: int
    takes_classes: bool
    metrics: NDArray[np.int32]
    names: Sequence[str]
    n_products: int
    n_kernels: int
    encoding: EncodingForm | None


_forms: WeakKeyDictionary[Template, NativeForm | None] = WeakKeyDictionary()


def native_form(template: Template) -> NativeForm | None:
    """Give the form of a prepared template, None where anything in it has none."""
    if template not in _forms:
        try:
            _forms[template] = _form_of(template)
        except Exception as error:
            # A part of a user's own may be anything.
            _logger.debug("A model has no native form: %s.", obstacle_from(error))
            _forms[template] = None
    return _forms[template]


def _form_of(template: Template) -> NativeForm | None:
    model = template.model
    parts = parts_of(model, dropout_layers(model))
    if (
        model.inputs[0].dtype != "float32"
        # With a larger one Keras's losses cut probabilities that count here.
        or keras.config.epsilon() > _EPSILON
        or parts is None
        or not is_known(model.optimizer)
        or compile_arguments(model)["loss_weights"] is not None
    ):
        return None
    products = [part for part in parts if isinstance(part, Product)]
    output = parts[-1]
    assert isinstance(output, Activation)
    assert template.y_shape is not None
    loss = loss_of(model.loss, output.function, template.y_shape, products[-1].n_outputs)
    metrics = None if loss is None else _metrics_of(model, loss)
    penalties = _penalties_of(model, products)
    if loss is None or metrics is None or penalties is None:
        return None
    order = [place for part in products for place in (part.kernel, part.bias) if place is not None]
    optimizer = optimizer_form(model.optimizer, len(order))
    return NativeForm(
        n_outputs=products[-1].n_outputs,
        parts=np.array([_as_numbers(part) for part in parts], np.int32),
        drops=[(place, part.index) for place, part in enumerate(parts) if isinstance(part, Dropout)],
        penalties=penalties,
        weights=order,
        optimizer=optimizer,
        optimizer_kind=extension.number(optimizer.kind),
        weight_decay=template.weight_decay_index,
        loss=extension.number(loss),
        takes_classes=loss == SPARSE_CROSS_ENTROPY,
        metrics=np.array([(extension.number(kind), weighs) for _, kind, weighs in metrics], np.int32).reshape(-1, 2),
        names=[model.metrics[0].name, *(name for name, *_ in metrics)],
        n_products=sum(math.prod(model.trainable_variables[part.kernel].shape) for part in products),
        n_kernels=len(products),
        encoding=encoding_form(model),
    )


def _as_numbers(part: Part) -> tuple[int, int, int]:
    if isinstance(part, Product):
        return extension.number("PRODUCT"), part.n_outputs, int(part.bias is not None)
    if isinstance(part, Activation):
        return extension.number("ACTIVATION"), extension.number(part.function), 0
    return extension.number("DROPOUT"), part.index, 0


def _metrics_of(model: keras.Model, loss: str) -> list[tuple[str, str, bool]] | None:
    """Give each metric's name, which it is, and whether it heeds the rows' weights."""
    container = compiled_metrics(model)
    if container is None:
        return []
    weighted = {id(metric) for metric in weighted_metrics(container)}
    found = [(metric, metric_of(metric, loss)) for metric in container.metrics]
    if any(kind is None for _, kind in found) or len({metric.name for metric, _ in found}) < len(found):
        return None
    return [(metric.name, kind, id(metric) in weighted) for metric, kind in found if kind is not None]


def _penalties_of(model: keras.Model, products: Sequence[Product]) -> list[tuple[tuple[int, int], int]] | None:
    """Find the penalties on weights; None where there is one of another kind."""
    regularizers = [variable.regularizer for variable in model.trainable_variables]
    if not all(one is None or isinstance(one, Penalty) for one in regularizers):
        return None
    columns = {"l1": 0, "l2": 2}
    return [
        ((index, columns[kind] + is_bias), number)
        for index, part in enumerate(products)
        for is_bias, weight in enumerate((part.kernel, part.bias))
        if weight is not None and regularizers[weight] is not None
        for kind, number in regularizers[weight].places.items()
    ]


def has_native_run(template: Template, passes: Sequence[tuple[Data, int]]) -> bool:
    """Tell whether the native engine takes a training run; ``passes`` are the rows of each pass, with batch sizes.

    The answer depends on the run alone, not on what the process has done before: the same run gives the same numbers.
    """
    if extension.engine is None:
        _tell_that_it_is_missing()
        return False
    form = native_form(template)
    return form is not None and all(_has_fitting_targets(data, template, form) for data, _ in passes)


@functools.cache
def _tell_that_it_is_missing() -> None:
    """Say once in a process what a machine without the C extension does otherwise."""
    _logger.info(
        "The native engine was not built (no C compiler), so XLA trains dense networks: more slowly, and with "
        "other weights from the same seed than where it was built."
    )


def _has_fitting_targets(data: Data, template: Template, form: NativeForm) -> bool:
    """Tell whether targets are like those of the template, with class numbers that it knows."""
    y = data.targets
    if y is None or y.shape[1:] != template.y_shape or data.n_rows == 0:
        return False
    if not form.takes_classes:
        return True
    if not isinstance(y, np.ndarray):
        return False
    is_whole = np.issubdtype(y.dtype, np.integer) or bool((y == np.trunc(y)).all())
    return is_whole and bool(y.min() >= 0 and y.max() < form.n_outputs)
