"""From ``random_state`` to seeds, without a trace in any global generator."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral

import numpy as np

# Who reseeds Python's or NumPy's global generator, or puts one back, holds this.
GLOBAL_GENERATORS = threading.RLock()


@dataclass(frozen=True)
class Seeds:
    """One seed for each thing that a fit draws: the validation rows, the initial weights, the order of the rows."""

    split: int
    weights: int
    order: int


def draw_seeds(random_state: int | np.random.RandomState | None) -> Seeds:
    """Draw the seeds of one fit; a ``RandomState`` advances, an int gives the same seeds each time, None new ones."""
    if random_state is None:
        entropy = None
    elif isinstance(random_state, Integral):
        entropy = int(random_state)
    elif isinstance(random_state, np.random.RandomState):
        entropy = int(random_state.randint(np.iinfo(np.int32).max))
    else:
        raise ValueError(
            "The 'random_state' parameter must be an int in [0, 2**32), a numpy.random.RandomState or None. "
            f"Got {random_state!r} instead."
        )
    words = np.random.SeedSequence(entropy).generate_state(3) % np.iinfo(np.int32).max
    return Seeds(*(int(word) for word in words))


@contextmanager
def seeded_global_generators(seed: int) -> Iterator[None]:
    """Seed Python's and NumPy's global generators for the block, and put both back as they were.

    Keras draws the seed of a layer without one from Python's generator, and a user's model function may draw from
    NumPy's. One block runs at a time.
    """
    with GLOBAL_GENERATORS:
        python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
