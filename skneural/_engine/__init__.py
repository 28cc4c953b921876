"""Training, evaluation and prediction of Keras models on arrays. It never imports scikit-learn."""

from __future__ import annotations

from skneural._compat import first_import  # noqa: F401 - before whatever imports TensorFlow

from .cache import clear_kept, kept_sizes
from .conduct import CancelledRunError, Conduct
from .data.memory_maps import give_pages_back, is_large_map
from .identity.architecture import global_settings
from .identity.parts import (
    STATELESS_PARTS,
    attributes_beside_config,
    copy_of_metric,
    copy_of_part,
    fingerprint,
    is_plain,
    optimizer_from,
    with_attributes,
    with_seed,
)
from .identity.stored_model import brought_back, carried, duplicate, stored_layer
from .memory_errors import telling_memory_errors
from .model.column_encoding import ColumnEncoding
from .model.ends import rows_for
from .model.network import Network
from .native.products import product
from .orphans import end_with_parent
from .prediction import predict, predicts_itself
from .records import Blueprint, Data, EarlyStopping, Keeper, ManyInputs, Progress, Result, Settings, State, Step
from .stored_rows import Source, StoredRows
from .threads import take_share_of_cores
from .training import fit
from .xla.own_steps import StepBatch, StepCall

take_share_of_cores()
end_with_parent()

__all__ = [
    "STATELESS_PARTS",
    "Blueprint",
    "CancelledRunError",
    "ColumnEncoding",
    "Conduct",
    "Data",
    "EarlyStopping",
    "Keeper",
    "ManyInputs",
    "Network",
    "Progress",
    "Result",
    "Settings",
    "Source",
    "State",
    "Step",
    "StepBatch",
    "StepCall",
    "StoredRows",
    "attributes_beside_config",
    "brought_back",
    "carried",
    "clear_kept",
    "copy_of_metric",
    "copy_of_part",
    "duplicate",
    "fingerprint",
    "fit",
    "give_pages_back",
    "global_settings",
    "is_large_map",
    "is_plain",
    "kept_sizes",
    "optimizer_from",
    "predict",
    "predicts_itself",
    "product",
    "rows_for",
    "stored_layer",
    "telling_memory_errors",
    "with_attributes",
    "with_seed",
]
