"""Adam whose steps grow from nothing to their size at the beginning."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="skneural")
class WarmAdam(keras.optimizers.Adam):
    """Adam that multiplies its learning rate with (t + 1) / ``warmup_steps`` in its first steps t = 0, 1, ...

    Attention diverges where the first steps, whose second moments are known badly, are large (Vaswani et al. 2017,
    section 5.3). What the rate does later is left to the schedule of the epochs.
    """

    def __init__(self, *arguments: Any, warmup_steps: int = 100, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.warmup_steps = int(warmup_steps)

    def _get_current_learning_rate(self) -> Any:
        rate = super()._get_current_learning_rate()
        warmth = (ops.cast(self.iterations, rate.dtype) + 1) / self.warmup_steps
        return rate * ops.minimum(ops.cast(1, rate.dtype), warmth)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"warmup_steps": self.warmup_steps}
