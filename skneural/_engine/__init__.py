"""Training, evaluation and prediction of Keras models on arrays. It never imports scikit-learn."""

from __future__ import annotations

from ._ledger import Ledger
from ._many_inputs import ManyInputs
from ._meeting import Meeting, MeetingCancelledError, Task, current_task
from ._memory_maps import give_pages_back, is_large_map
from ._network import Network, State, duplicate
from ._prediction import predict
from ._records import Blueprint, Data, EarlyStopping, Result, Settings
from ._threads import take_share_of_cores
from ._together import trainer
from ._training import fit

take_share_of_cores()

__all__ = [
    "Blueprint",
    "Data",
    "EarlyStopping",
    "Ledger",
    "ManyInputs",
    "Meeting",
    "MeetingCancelledError",
    "Network",
    "Result",
    "Settings",
    "State",
    "Task",
    "current_task",
    "duplicate",
    "fit",
    "give_pages_back",
    "is_large_map",
    "predict",
    "trainer",
]
