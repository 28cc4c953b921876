"""Estimators, and pipelines that end in them, as ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skneural._architectures.embedding import EMBEDDING
from skneural._estimators.targets import ClassTargets, RegressionTargets
from skneural._families.autoencoder import Autoencoder
from skneural._families.convolutional import ConvNetClassifier, ConvNetRegressor
from skneural._families.dense import DenseNetClassifier, DenseNetRegressor
from skneural._families.neighbor_embedding import NeighborEmbedding
from skneural._families.recurrent import RecurrentNetClassifier, RecurrentNetRegressor
from skneural._families.tabular import TabularNetClassifier, TabularNetRegressor
from skneural._families.tabular_targets import BoundedTargets
from skneural._wrappers.classifier import KerasClassifier
from skneural._wrappers.regressor import KerasRegressor

from .graph import OPSET, Graph
from .layers import Value
from .models import write_model

_CLASSIFIERS = (ConvNetClassifier, DenseNetClassifier, RecurrentNetClassifier, TabularNetClassifier, KerasClassifier)
_REGRESSORS = (ConvNetRegressor, DenseNetRegressor, RecurrentNetRegressor, TabularNetRegressor, KerasRegressor)
_TRANSFORMERS = (Autoencoder, NeighborEmbedding)
_OPTIONS = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [False, True]}


def register_onnx_converters() -> None:
    """Teach skl2onnx the estimators that ``to_onnx`` takes, so that its own ``to_onnx`` takes pipelines with them.

    Raises
    ------
    ImportError
        Where skl2onnx is not installed.

    See Also
    --------
    to_onnx : Calls it, and ``skl2onnx.to_onnx`` then.

    Examples
    --------
    >>> import skneural
    >>> skneural.register_onnx_converters()
    """
    skl2onnx = _skl2onnx("register_onnx_converters")
    for kind in (*_CLASSIFIERS, *_REGRESSORS, *_TRANSFORMERS):
        options = _OPTIONS if kind in _CLASSIFIERS else None
        skl2onnx.update_registered_converter(kind, f"Skneural{kind.__name__}", _tell_shapes, _convert, options=options)


def to_onnx(estimator: Any, X: Any, **arguments: Any) -> Any:
    """Write a fitted estimator, or a pipeline that ends in one, as a model of ONNX.

    Parameters
    ----------
    estimator : estimator or sklearn.pipeline.Pipeline
        Dense, convolutional, recurrent or tabular networks, or ``KerasClassifier`` and ``KerasRegressor`` with a
        Sequential or functional model of common layers; of ``Autoencoder`` and ``NeighborEmbedding`` what ``transform``
        does.
    X : array-like of shape (n_samples, ...)
        Some rows, one is enough: they tell the shape. The model takes float32; sequences of unequal lengths are padded
        with NaN behind their ends, and a table is what ``coded`` of a tabular network gives.
    **arguments : dict
        Further arguments of ``skl2onnx.to_onnx``.

    Returns
    -------
    model : onnx.ModelProto
        Of a classifier its outputs are "label" and "probabilities", of others "variable".

    Raises
    ------
    ImportError
        Where skl2onnx is not installed.
    TypeError
        For other estimators.
    ValueError
        For a network with a layer that ONNX, or skneural, has no operators for; the error names it.

    See Also
    --------
    register_onnx_converters : For skl2onnx's own functions.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import DenseNetClassifier, to_onnx
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> network = DenseNetClassifier((4,), epochs=2, random_state=0).fit(X, X[:, 0] > 0)
    >>> [output.name for output in to_onnx(network, X[:1]).graph.output]
    ['label', 'probabilities']
    """
    skl2onnx = _skl2onnx("to_onnx")
    register_onnx_converters()
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    if not isinstance(last, _CLASSIFIERS + _REGRESSORS + _TRANSFORMERS):
        raise TypeError(
            "to_onnx takes a classifier or a regressor of skneural, an Autoencoder, a NeighborEmbedding, or a pipeline "
            f"that ends in one. Got {type(last).__name__}; of others of skneural, 'model_' is a Keras model that other "
            "converters may take."
        )
    check_is_fitted(last)
    if isinstance(last, _CLASSIFIERS):
        arguments = {"options": {id(last): {"zipmap": False}}} | arguments
    arguments = {"target_opset": OPSET} | arguments
    if last is estimator and "initial_types" not in arguments:
        shape = np.shape(X)[1:]
        # Sequences may have any length.
        taken = estimator.model_.input_shape[1:]
        is_open = len(taken) == len(shape) and None in taken
        sizes = [None, *(taken if is_open else shape)]
        arguments["initial_types"] = [("X", skl2onnx.common.data_types.FloatTensorType(sizes))]
        return skl2onnx.convert_sklearn(
            estimator, **{**arguments, "name": arguments.pop("name", type(estimator).__name__)}
        )
    return skl2onnx.to_onnx(estimator, np.asarray(X[:1], np.float32), **arguments)


def _skl2onnx(caller: str) -> Any:
    try:
        import skl2onnx
    except ImportError as error:
        raise ImportError(
            f"{caller} requires skl2onnx. You can install it with `pip install skneural[onnx]`."
        ) from error
    return skl2onnx


def _is_multilabel(estimator: Any) -> bool:
    return bool(getattr(estimator.target_encoder_, "is_multilabel", False))


def _labels_of(estimator: Any) -> Any:
    """Return the labels as ONNX knows them: strings or whole numbers."""
    classes = np.asarray(estimator.classes_)
    if classes.dtype.kind in "iub":
        return classes.astype(np.int64)
    if all(isinstance(one, str) for one in classes.tolist()):
        return classes.astype(str)
    raise ValueError(f"ONNX knows labels that are strings or whole numbers. Got {classes.tolist()}.")


def _tell_shapes(operator: Any) -> None:
    """Tell skl2onnx the types of the outputs."""
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

    estimator, n_rows = operator.raw_operator, operator.inputs[0].get_first_dimension()
    if isinstance(estimator, _TRANSFORMERS):
        operator.outputs[0].type = FloatTensorType([n_rows, int(estimator.n_components_)])
        return
    if not isinstance(estimator, _CLASSIFIERS):
        n_outputs = getattr(estimator.target_encoder_, "n_quantiles", None) or estimator.n_outputs_
        operator.outputs[0].type = FloatTensorType([n_rows, int(n_outputs)])
        return
    n_classes = int(estimator.n_classes_)
    if _is_multilabel(estimator):
        operator.outputs[0].type = Int64TensorType([n_rows, n_classes])
    else:
        kind = StringTensorType if _labels_of(estimator).dtype.kind == "U" else Int64TensorType
        operator.outputs[0].type = kind([n_rows])
    operator.outputs[1].type = FloatTensorType([n_rows, n_classes])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Write an estimator's network and what its outputs mean."""
    from onnx import TensorProto

    estimator, graph = operator.raw_operator, Graph(container, scope.get_unique_variable_name)
    rows = graph.node("Cast", operator.inputs[0].full_name, to=TensorProto.FLOAT)
    if isinstance(estimator, _TRANSFORMERS):
        _write_codes(graph, estimator, rows, operator.outputs[0].full_name)
        return
    model = estimator.model_
    if len(model.inputs) != 1:
        raise ValueError(
            f"{type(estimator).__name__} has a model of {len(model.inputs)} inputs; ONNX is written of one."
        )
    rank, given = len(model.input_shape), len(estimator.X_shape_)
    if rank == given + 1:
        rows = graph.node("Unsqueeze", rows, graph.integers(-1))
    elif rank == given - 1:
        rows = graph.node("Squeeze", rows, graph.integers(-1))
    outputs = write_model(graph, model, [Value(rows)]).name
    outputs = graph.node("Reshape", outputs, graph.integers(0, -1))
    if isinstance(estimator, _CLASSIFIERS):
        _write_classes(graph, estimator, outputs, *(one.full_name for one in operator.outputs))
    else:
        _write_numbers(graph, estimator, outputs, operator.outputs[0].full_name)


def _write_codes(graph: Graph, estimator: Any, rows: str, variable: str) -> None:
    """Write what ``transform`` makes of rows, which may be images."""
    flat = graph.node("Reshape", rows, graph.integers(-1, int(estimator.n_features_in_)))
    is_autoencoder = isinstance(estimator, Autoencoder)
    model = estimator.encoder_ if is_autoencoder else estimator.model_
    codes = write_model(graph, model, [Value(flat)], until=None if is_autoencoder else EMBEDDING).name
    graph.node("Identity", codes, output=variable)


def _write_classes(graph: Graph, estimator: Any, outputs: str, label: str, probabilities: str) -> None:
    """Write what ``predict`` and ``predict_proba`` make of outputs."""
    from onnx import TensorProto

    encoder = estimator.target_encoder_
    if type(encoder) is not ClassTargets or encoder.outputs == "margins" or encoder.target_type_ == "multiclass-onehot":
        raise ValueError(
            f"{type(estimator).__name__} is written to ONNX where it gives probabilities of labels, not with a loss of "
            "margins, one-hot y or a target_encoder of your own. Fit it with loss='auto' and labels as y, or export "
            "its Keras model, 'model_', alone."
        )
    n_outputs, n_classes, is_multilabel = (
        estimator.model_.output_shape[-1],
        int(encoder.n_classes_),
        encoder.is_multilabel,
    )
    if estimator._gives_logits:
        is_each_alone = n_outputs == 1 or is_multilabel
        outputs = graph.node("Sigmoid", outputs) if is_each_alone else graph.node("Softmax", outputs, axis=-1)
    shares = graph.node("Min", outputs, graph.constant(1.0))
    is_single = n_outputs == 1 and not is_multilabel
    if is_multilabel:
        graph.node("Identity", shares, output=probabilities)
        is_there = graph.node("Greater", shares, graph.constant(0.5))
        graph.node("Cast", is_there, to=TensorProto.INT64, output=label)
        return
    if n_classes == 1:
        first = graph.node("Slice", shares, graph.integers(0), graph.integers(1), graph.integers(1))
        graph.node("Add", graph.node("Mul", first, graph.constant(0.0)), graph.constant(1.0), output=probabilities)
    elif is_single:
        graph.node("Concat", graph.node("Sub", graph.constant(1.0), shares), shares, axis=1, output=probabilities)
    else:
        summed = graph.node("ReduceSum", shares, graph.integers(1), keepdims=1)
        graph.node("Div", shares, summed, output=probabilities)
    places = graph.node("ArgMax", probabilities, axis=1, keepdims=0)
    labels = _labels_of(estimator)
    graph.node("Gather", graph.constant(labels, labels.dtype), places, axis=0, output=label)


def _write_numbers(graph: Graph, estimator: Any, outputs: str, variable: str) -> None:
    """Write what ``predict`` makes of outputs."""
    encoder = estimator.target_encoder_
    if type(encoder) not in (RegressionTargets, BoundedTargets) or encoder.exponents_.any():
        raise ValueError(
            f"{type(estimator).__name__} is written to ONNX with targets of usual sizes, not with a target_encoder of "
            "your own."
        )
    n_quantiles = getattr(encoder, "n_quantiles", None)
    if n_quantiles is not None and n_quantiles > 1:
        names = [graph.unique("sorted"), graph.unique("places")]
        outputs = graph.nodes("TopK", outputs, graph.integers(n_quantiles), outputs=names, axis=1, largest=0)[0]
    values = graph.node("Mul", outputs, graph.constant(encoder.scale_))
    values = graph.node("Add", values, graph.constant(encoder.mean_))
    if isinstance(encoder, BoundedTargets):
        values = graph.node(
            "Min", graph.node("Max", values, graph.constant(encoder.low_)), graph.constant(encoder.high_)
        )
    graph.node("Identity", values, output=variable)
