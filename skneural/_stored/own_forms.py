"""Objects, classes and functions of skneural's own as plain data: a closed list, by names that they keep."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from importlib import import_module
from typing import Any

from .forms import Form, Node, Reader, StoredDataError, Writer, checked

# Name in files -> module. A name stays for ever; what is behind it may move or be called otherwise: "module:name".
_PLACES = {
    "Seeds": "_seeds",
    "Run": "_estimators.fitted_model",
    "Recipe": "_estimators.recipe",
    "Compilation": "_estimators.compiling",
    "ClassTargets": "_estimators.targets",
    "RegressionTargets": "_estimators.targets",
    "BoundedTargets": "_families.tabular_targets",
    "QuantileLoss": "_families.tabular_targets",
    "QuantileScore": "_families.tabular_targets",
    "Network": "_engine.model.network",
    "State": "_engine.records",
    "Compiled": "_engine.identity.stored_model",
    "StoredModel": "_engine.identity.stored_model",
    "StoredLayer": "_engine.identity.stored_model",
    "RebuiltModel": "_engine.identity.stored_model",
    "Blueprint": "_families.blueprint:FamilyBlueprint",
    "Members": "_families.members",
    "Mixture": "_families.recurrent_mixture",
    "TableColumns": "_rows.tables",
    "Subwords": "_rows.subwords",
    "TableEncoding": "_architectures.table_encoding",
    "ColumnScaling": "_architectures.column_scaling",
    "DenseArchitecture": "_architectures.dense",
    "ConvArchitecture": "_architectures.convolutional",
    "RecurrentArchitecture": "_architectures.recurrent",
    "KernelArchitecture": "_architectures.kernels",
    "TabularArchitecture": "_architectures.tabular",
    "AutoencoderArchitecture": "_architectures.autoencoder",
    "EmbeddingArchitecture": "_architectures.embedding",
    "TaughtArchitecture": "_architectures.clustering",
    "IdecArchitecture": "_architectures.clustering",
    "N2dArchitecture": "_architectures.clustering",
    "TranslationArchitecture": "_architectures.translation",
    "WarmAdam": "_architectures.warm_adam",
    "PrincipalAxes": "_geometry.principal_axes",
    "PrincipalColumns": "_geometry.principal",
    "WeightedMixture": "_geometry.weighted_mixture",
    "ClusterDensities": "_geometry.cluster_densities",
    "NeighborClusters": "_families.clustering_neighbors",
    "IdecClusters": "_families.clustering_autoencoded",
    "N2dClusters": "_families.clustering_autoencoded",
    "build_dense": "_architectures.dense",
    "build_conv": "_architectures.convolutional",
    "build_recurrent": "_architectures.recurrent",
    "build_kernels": "_architectures.kernels",
    "build_tabular": "_architectures.tabular",
    "build_autoencoder": "_architectures.autoencoder",
    "build_embedding": "_architectures.embedding",
    "build_clustering": "_architectures.clustering",
    "build_translation": "_architectures.translation",
    "build_model_anew": "_estimators.fitted_model",
}
_PUBLIC = (
    "Autoencoder",
    "ConvNetClassifier",
    "ConvNetRegressor",
    "DeepEmbeddedClustering",
    "DenseNetClassifier",
    "DenseNetRegressor",
    "KerasClassifier",
    "KerasRegressor",
    "NeighborEmbedding",
    "RecurrentNetClassifier",
    "RecurrentNetRegressor",
    "Seq2SeqTranslator",
    "TabularNetClassifier",
    "TabularNetRegressor",
)
# Where layers and losses of ours are, which Keras knows by name as soon as they are imported.
_WITH_LAYERS = (
    "_architectures.augmentation",
    "_architectures.cluster_layers",
    "_architectures.code_layers",
    "_architectures.column_embedding",
    "_architectures.fixed_kernels",
    "_architectures.sequence_layers",
    "_architectures.translation",
    "_architectures.translation_layers",
    "_architectures.warm_adam",
    "_architectures.window_layers",
    "_engine.model.column_encoding",
    "_families.tabular_targets",
)
_OF_KERAS = ("StoredModel", "StoredLayer", "RebuiltModel")
_NAME_OF = {place.partition(":")[2] or name: name for name, place in _PLACES.items()} | {name: name for name in _PUBLIC}


def own_names() -> tuple[str, ...]:
    """Return all names of the closed list."""
    return (*_PLACES, *_PUBLIC)


def own_thing(name: Node) -> Any:
    """Return the class or function of a name."""
    if name in _PUBLIC:
        return getattr(import_module("skneural"), name)
    if type(name) is not str or name not in _PLACES:
        raise StoredDataError(f"skneural stores nothing called {str(name)[:80]!r}.")
    if name in _OF_KERAS:
        for place in _WITH_LAYERS:
            import_module(f"skneural.{place}")
    module, _, other = _PLACES[name].partition(":")
    return getattr(import_module(f"skneural.{module}"), other or name)


def _is_own(value: Any) -> bool:
    """Whether a value is a class or function of the closed list."""
    name = _NAME_OF.get(getattr(value, "__qualname__", ""))
    return name is not None and str(value.__module__).partition(".")[0] == "skneural" and own_thing(name) is value


def _is_object(value: Any) -> bool:
    is_known = _is_own(type(value)) or hasattr(type(value), "_from_stored_fields")
    return is_known and not inspect.isclass(value) and not getattr(value, "needs_trust", False)


def _fields_of(value: Any) -> dict[str, Any]:
    """Return what an object consists of."""
    if hasattr(value, "fields"):
        return dict(value.fields)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    fields: dict[str, Any] = value.__getstate__()
    return fields


def _object_node(value: Any, writer: Writer) -> Node:
    kind = writer.node(type(value))
    if hasattr(value, "_to_stored_fields"):
        return [kind, value._to_stored_fields(writer)]
    return [kind, {name: writer.node(field) for name, field in _fields_of(value).items()}]


def _object_of(node: Node, reader: Reader) -> Any:
    stored, nodes = checked(node, list, 2)
    kind = reader.value(stored)
    if not (isinstance(kind, type) and (_is_own(kind) or hasattr(kind, "_from_stored_fields"))):
        raise StoredDataError(f"There are no objects of the kind {kind!r}.")
    fields = {name: reader.value(field) for name, field in checked(nodes, dict).items()}
    if hasattr(kind, "_from_stored_fields"):
        return kind._from_stored_fields(fields)
    made: Any = object.__new__(kind)
    if hasattr(kind, "__setstate__") and not dataclasses.is_dataclass(kind):
        made.__setstate__(fields)
    else:
        check_fields(kind, fields)
        vars(made).update(fields)
    return made


def check_fields(kind: type, fields: dict[str, Any]) -> None:
    """Raise for attributes that an object of a class never has."""
    if dataclasses.is_dataclass(kind):
        known = {field.name: field for field in dataclasses.fields(kind)}
        defaults = (dataclasses.MISSING, dataclasses.MISSING)
        lacking = [
            name
            for name, field in known.items()
            if name not in fields and (field.default, field.default_factory) == defaults
        ]
        if lacking or set(fields) - set(known):
            raise StoredDataError(f"An object of the kind {kind.__name__} does not consist of {sorted(fields)}.")
    elif any(not name.isidentifier() or name.startswith("__") for name in fields):
        raise StoredDataError(f"An object of the kind {kind.__name__} has no attributes {sorted(fields)}.")


def _partial_node(value: functools.partial[Any], writer: Writer) -> Node:
    return [writer.node(value.func), [writer.node(argument) for argument in value.args]]


def _partial_of(node: Node, reader: Reader) -> Any:
    function, arguments = checked(node, list, 2)
    found = reader.value(function)
    if not _is_own(found):
        raise StoredDataError(f"There is no call of {found!r}.")
    return functools.partial(found, *(reader.value(argument) for argument in checked(arguments, list)))


OWN_FORMS = (
    Form("own", _is_own, lambda value, _: _NAME_OF[value.__qualname__], lambda node, _: own_thing(node)),
    Form("object", _is_object, _object_node, _object_of),
    Form(
        "partial",
        lambda value: type(value) is functools.partial and not value.keywords and _is_own(value.func),
        _partial_node,
        _partial_of,
    ),
)
