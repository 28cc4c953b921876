"""Keras networks that are scikit-learn estimators.

The classes load on first use, so that ``import skneural`` alone loads neither TensorFlow nor scikit-learn.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from . import exceptions

if TYPE_CHECKING:
    from ._displays._attention import AttentionDisplay
    from ._displays._clusters import ClusterDisplay
    from ._displays._embedding import EmbeddingDisplay
    from ._displays._network import NetworkDisplay
    from ._displays._reconstruction import ReconstructionDisplay
    from ._displays._training_curves import TrainingCurveDisplay
    from ._families.autoencoder import Autoencoder
    from ._families.clustering import DeepEmbeddedClustering
    from ._families.convolutional import ConvNetClassifier, ConvNetRegressor
    from ._families.dense import DenseNetClassifier, DenseNetRegressor
    from ._families.neighbor_embedding import NeighborEmbedding
    from ._families.recurrent import RecurrentNetClassifier, RecurrentNetRegressor
    from ._families.tabular import TabularNetClassifier, TabularNetRegressor
    from ._families.translation import Seq2SeqTranslator
    from ._onnx.export import register_onnx_converters, to_onnx
    from ._parallel.backend import parallel_fits
    from ._stored.file import load
    from ._versions import show_versions
    from ._wrappers.classifier import KerasClassifier
    from ._wrappers.regressor import KerasRegressor

__version__ = "0.1.0"

__all__ = [
    "AttentionDisplay",
    "Autoencoder",
    "ClusterDisplay",
    "ConvNetClassifier",
    "ConvNetRegressor",
    "DeepEmbeddedClustering",
    "DenseNetClassifier",
    "DenseNetRegressor",
    "EmbeddingDisplay",
    "KerasClassifier",
    "KerasRegressor",
    "NeighborEmbedding",
    "NetworkDisplay",
    "ReconstructionDisplay",
    "RecurrentNetClassifier",
    "RecurrentNetRegressor",
    "Seq2SeqTranslator",
    "TabularNetClassifier",
    "TabularNetRegressor",
    "TrainingCurveDisplay",
    "__version__",
    "exceptions",
    "load",
    "parallel_fits",
    "register_onnx_converters",
    "show_versions",
    "to_onnx",
]

_MODULE_OF = {
    "AttentionDisplay": "._displays._attention",
    "Autoencoder": "._families.autoencoder",
    "ClusterDisplay": "._displays._clusters",
    "ConvNetClassifier": "._families.convolutional",
    "ConvNetRegressor": "._families.convolutional",
    "DeepEmbeddedClustering": "._families.clustering",
    "DenseNetClassifier": "._families.dense",
    "DenseNetRegressor": "._families.dense",
    "EmbeddingDisplay": "._displays._embedding",
    "KerasClassifier": "._wrappers.classifier",
    "KerasRegressor": "._wrappers.regressor",
    "NeighborEmbedding": "._families.neighbor_embedding",
    "NetworkDisplay": "._displays._network",
    "ReconstructionDisplay": "._displays._reconstruction",
    "RecurrentNetClassifier": "._families.recurrent",
    "RecurrentNetRegressor": "._families.recurrent",
    "Seq2SeqTranslator": "._families.translation",
    "TabularNetClassifier": "._families.tabular",
    "TabularNetRegressor": "._families.tabular",
    "TrainingCurveDisplay": "._displays._training_curves",
    "load": "._stored.file",
    "parallel_fits": "._parallel.backend",
    "register_onnx_converters": "._onnx.export",
    "show_versions": "._versions",
    "to_onnx": "._onnx.export",
}


def _make_backend(**arguments: object) -> object:
    """Make what ``joblib.parallel_config(backend="skneural")`` asks for."""
    backend: object = import_module("._parallel", __name__).ParallelFitsBackend(**arguments)
    return backend


if "joblib" in sys.modules:
    # Who has not imported joblib yet cannot have named a backend; loading it for them would take 0.2 s.
    sys.modules["joblib"].register_parallel_backend("skneural", _make_backend)


if not TYPE_CHECKING:  # who checks types sees the imports above, and would take any name for known with this

    def __getattr__(name: str) -> object:
        """Import the module of a public class when the class is first asked for."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name], __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
