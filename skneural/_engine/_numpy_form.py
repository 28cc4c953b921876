"""Which training runs take place in NumPy: what form a model has there, and whether a run is short enough."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import keras
from scipy import sparse

from skneural._compat import compile_arguments, compiled_metrics, weighted_metrics

from ._dense_forward import ALONE_IN_BLAS
from ._numbers import dropout_layers
from ._numpy_layers import Part, Product, parts_of
from ._numpy_losses import Loss, SparseCrossEntropy, loss_of
from ._numpy_metrics import Metric, metric_of
from ._numpy_optimizers import NumpyOptimizer, is_known
from ._records import Data
from ._rows import n_batches
from ._template import Penalty, Template

_logger = logging.getLogger("skneural")
# Measured on 2 cores: a step in NumPy, and each product of a weight and a value in it. A run of MAX_SECONDS takes half
# of that as a program, and tracing and compiling that program some 1.2 seconds, which is 40 such runs.
SECONDS_PER_STEP, SECONDS_PER_PRODUCT = 60e-6, 1.4e-10
MAX_SECONDS = 0.06
# The values in rows and outputs. A pass makes several copies of both.
MAX_VALUES = 2**18


@dataclass(frozen=True)
class WeighedMetric:
    """A metric by name, and whether it heeds the rows' weights."""

    name: str
    values: Metric
    is_weighted: bool


@dataclass(frozen=True)
class PenaltyPlace:
    """An L1 or L2 penalty: the weight's place among the trained ones, and that of the number among the numbers."""

    kind: str
    weight: int
    number: int


@dataclass(frozen=True)
class NumpyForm:
    """All that NumPy has to know of a template."""

    parts: Sequence[Part]
    loss: Loss
    loss_name: str
    metrics: Sequence[WeighedMetric]
    optimizer: NumpyOptimizer
    penalties: Sequence[PenaltyPlace]
    trainable_indices: tuple[int, ...]
    n_outputs: int

    def n_products(self, template: Template) -> list[int]:
        """Count the products of each layer and row."""
        weights = template.model.trainable_variables
        return [math.prod(weights[part.kernel].shape) for part in self.parts if isinstance(part, Product)]


_forms: WeakKeyDictionary[Template, NumpyForm | None] = WeakKeyDictionary()


def numpy_form(template: Template) -> NumpyForm | None:
    """Give the form of a prepared template, None where anything in it has none."""
    if template not in _forms:
        try:
            _forms[template] = _form_of(template)
        except Exception as error:
            # What a user has written may be like nothing that is looked for here.
            _logger.debug("A model has no form in NumPy: %s.", error)
            _forms[template] = None
    return _forms[template]


def _form_of(template: Template) -> NumpyForm | None:
    model = template.model
    parts = parts_of(model, dropout_layers(model))
    if (
        model.inputs[0].dtype != "float32"
        or parts is None
        or not is_known(model.optimizer)
        or compile_arguments(model)["loss_weights"] is not None
    ):
        return None
    n_outputs = int(model.outputs[0].shape[-1])
    assert template.y_shape is not None
    loss = loss_of(model.loss, parts[-1].function, template.y_shape, n_outputs)  # type: ignore[union-attr]
    metrics = None if loss is None else _metrics_of(model, loss)
    penalties = _penalties_of(model)
    if loss is None or metrics is None or penalties is None:
        return None
    return NumpyForm(
        parts,
        loss,
        model.metrics[0].name,
        metrics,
        NumpyOptimizer(model.optimizer, len(template.trainable_indices), template.weight_decay_index),
        penalties,
        template.trainable_indices,
        n_outputs,
    )


def _metrics_of(model: keras.Model, loss: Loss) -> list[WeighedMetric] | None:
    container = compiled_metrics(model)
    if container is None:
        return []
    weighted = {id(metric) for metric in weighted_metrics(container)}
    found = [(metric, metric_of(metric, loss)) for metric in container.metrics]
    if any(form is None for _, form in found) or len({metric.name for metric, _ in found}) < len(found):
        return None
    return [WeighedMetric(metric.name, form, id(metric) in weighted) for metric, form in found if form is not None]


def _penalties_of(model: keras.Model) -> list[PenaltyPlace] | None:
    """Find the penalties on weights; None where there is one of another kind."""
    regularizers = [variable.regularizer for variable in model.trainable_variables]
    if not all(one is None or isinstance(one, Penalty) for one in regularizers):
        return None
    return [
        PenaltyPlace(kind, weight, number)
        for weight, penalty in enumerate(regularizers)
        if penalty is not None
        for kind, number in penalty.places.items()
    ]


def is_short(template: Template, passes: Sequence[tuple[Data, int]], epochs: int) -> bool:
    """Tell whether a training run is over in NumPy before a program for it would be there.

    ``passes`` are the rows of each epoch's passes, with their batch sizes. The answer depends on the run alone, not on
    what the process has done before: the same run gives the same numbers.
    """
    form = numpy_form(template)
    if form is None or not all(_has_few_plain_rows(data, template, form) for data, _ in passes):
        return False
    per_row = form.n_products(template)
    seconds = epochs * sum(
        n_batches(data.n_rows, size) * (SECONDS_PER_STEP + SECONDS_PER_PRODUCT * size * sum(per_row))
        for data, size in passes
    )
    return seconds <= MAX_SECONDS and max(per_row) * max(size for _, size in passes) <= ALONE_IN_BLAS


def _has_few_plain_rows(data: Data, template: Template, form: NumpyForm) -> bool:
    """Tell whether rows are few and dense, with targets like those of the template, and class numbers that it knows."""
    if sparse.issparse(data.X) or data.y.shape[1:] != template.y_shape or data.n_rows == 0:
        return False
    if data.X.size + data.n_rows * form.n_outputs > MAX_VALUES:
        return False
    return not isinstance(form.loss, SparseCrossEntropy) or (data.y.min() >= 0 and data.y.max() < form.n_outputs)
