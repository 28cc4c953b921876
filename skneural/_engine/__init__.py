"""Training, evaluation and prediction of Keras models on arrays. It never imports scikit-learn."""

from __future__ import annotations

from ._meeting import Meeting, MeetingCancelledError, Task, current_task
from ._network import Network, State
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
    "Meeting",
    "MeetingCancelledError",
    "Network",
    "Result",
    "Settings",
    "State",
    "Task",
    "current_task",
    "fit",
    "predict",
    "trainer",
]
