"""Strategies of TensorFlow's for several devices or machines, whose scope belongs to a thread."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import keras
import tensorflow as tf

P = ParamSpec("P")
T = TypeVar("T")

# What an exchange between workers raises where one of them has ended or cannot be reached.
WORKER_IS_GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


def strategy_in_scope() -> str | None:
    """Tell the name of the strategy in whose scope the caller is, None where it is in none."""
    if not tf.distribute.has_strategy():
        return None
    # Its class has another name than that by which it is known.
    return "MultiWorkerMirroredStrategy" if is_of_workers() else type(tf.distribute.get_strategy()).__name__


def is_of_workers() -> bool:
    """Tell whether the strategy in scope is one of several processes, which all train the same network."""
    return isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)


def is_first_of_workers() -> bool:
    """Tell whether this process is the one of several that writes for all; one that is alone is."""
    if not is_of_workers():
        return True
    resolver = tf.distribute.get_strategy().cluster_resolver
    has_chief = "chief" in resolver.cluster_spec().jobs
    return bool(resolver.task_type == "chief" or (not has_chief and resolver.task_id in (0, None)))


def numbers_of_workers(number: int) -> list[int]:
    """Give the number that each worker calls this with; all have to call it, and wait for each other."""
    if not is_of_workers():
        return [number]
    numbers = _gathered(number)
    # A worker that ends at once, because of these numbers, would cut off what the others have still to receive: all
    # go on when all have them. Where the second exchange fails, who is gone has had the numbers before.
    with contextlib.suppress(*WORKER_IS_GONE):
        _gathered(number)
    return numbers


def _gathered(number: int) -> list[int]:
    strategy = tf.distribute.get_strategy()

    @tf.function
    def of_each() -> tf.Tensor:
        return strategy.gather(strategy.run(lambda: tf.constant([number])), axis=0)

    return [int(one) for one in of_each().numpy()]


class LocalAverages:
    """What each replica counts for itself, such as BatchNormalization's moving averages; of a model in scope.

    Keras 3.15 leaves them different (its variables have the aggregation "none"), so that who trained where would tell
    what the network says. The mean of all is what one replica with all the rows would have, as far as means go.
    """

    def __init__(self, model: keras.Model) -> None:
        strategy = tf.distribute.get_strategy()
        self._variables = [
            variable
            for variable in model.non_trainable_variables
            if tf.distribute.has_strategy() and tf.as_dtype(variable.dtype).is_floating
        ]

        @tf.function
        def means() -> list[tf.Tensor]:
            values = strategy.run(lambda: [tf.identity(variable.value) for variable in self._variables])
            return [strategy.reduce(tf.distribute.ReduceOp.MEAN, one, axis=None) for one in values]

        self._means = means

    def share(self) -> None:
        """Give all replicas the mean; all workers have to call this."""
        if self._variables:
            for variable, mean in zip(self._variables, self._means(), strict=True):
                variable.assign(mean)


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
