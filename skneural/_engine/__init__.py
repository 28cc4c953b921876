"""Training, evaluation and prediction of Keras models on arrays. It never imports scikit-learn."""

from __future__ import annotations

from ._architecture import global_settings
from ._conduct import CancelledRunError, Conduct
from ._many_inputs import ManyInputs
from ._memory_errors import telling_memory_errors
from ._memory_maps import give_pages_back, is_large_map
from ._network import Network, State
from ._parts import copy_of_part, fingerprint, is_plain, unwrapped, with_seed, wrapped
from ._prediction import predict, row_shape_of
from ._records import Blueprint, Data, EarlyStopping, Result, Settings
from ._rows import rows_like
from ._stored_model import brought_back, carried, duplicate
from ._threads import take_share_of_cores
from ._training import fit

take_share_of_cores()

__all__ = [
    "Blueprint",
    "CancelledRunError",
    "Conduct",
    "Data",
    "EarlyStopping",
    "ManyInputs",
    "Network",
    "Result",
    "Settings",
    "State",
    "brought_back",
    "carried",
    "copy_of_part",
    "duplicate",
    "fingerprint",
    "fit",
    "give_pages_back",
    "global_settings",
    "is_large_map",
    "is_plain",
    "predict",
    "row_shape_of",
    "rows_like",
    "telling_memory_errors",
    "unwrapped",
    "with_seed",
    "wrapped",
]
