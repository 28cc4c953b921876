"""Strategies of TensorFlow's for several devices or machines, whose scope belongs to a thread."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import keras
import tensorflow as tf

P = ParamSpec("P")
T = TypeVar("T")


def strategy_in_scope() -> str | None:
    """Tell the name of the strategy in whose scope the caller is, None where it is in none."""
    if not tf.distribute.has_strategy():
        return None
    # Its class has another name than that by which it is known.
    return "MultiWorkerMirroredStrategy" if is_of_workers() else type(tf.distribute.get_strategy()).__name__


def is_of_workers() -> bool:
    """Tell whether the strategy in scope is one of several processes, which all train the same network."""
    return isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)


def outside_of_strategies(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function run where no strategy is in scope: what it makes belongs to no one's devices."""

    @functools.wraps(function)
    def outside(*args: P.args, **kwargs: P.kwargs) -> T:
        if not tf.distribute.has_strategy():
            return function(*args, **kwargs)
        context, policy = contextvars.copy_context(), keras.config.dtype_policy()

        def run() -> T:
            # What the user has set, Keras keeps for the thread that set it.
            keras.config.set_dtype_policy(policy)
            return context.run(function, *args, **kwargs)

        # A scope is left by no other way than a thread that has not entered it.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()

    return outside
