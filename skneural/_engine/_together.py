"""Training the networks that meet: which of them share a program, and whether stacking them pays."""

from __future__ import annotations

import logging
import math
import os
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from skneural._compat import flatten_layers

from ._alone import train_alone
from ._compiled_fit import Job
from ._lane import Lane
from ._meeting import MeetingCancelledError
from ._stack_programs import StackShape, is_stack_program_kept

_logger = logging.getLogger("skneural")
Outcome = Any


# Measured on 2 cores (benchmarks/fused.py --rule). Two threads that run the program of one network each, many epochs a
# call, are nearly as fast as two stacks: with 64-10-10, 64-30-10 and 64-100-10 in batches of 32, stacks of 16 save 2.6,
# 2.8 and 2.5 us of a network's step, of 14, 17 and 28; larger networks lose. Against that stands what it takes to trace
# and compile the program of the stack.
MAX_PRODUCTS = 300_000
MAX_SLOTS = 16
SAVED_PER_STEP = 2.5e-6
COMPILE_SECONDS = 1.5


def may_be_stacked(job: Job, max_models: int) -> bool:
    """Whether it may pay to let a network wait for others like it, to be trained in a stack."""
    return (
        job.training.shape.is_compiled
        and not job.settings.callbacks
        and not job.settings.verbose
        and job.training.template.is_row_wise
        and all(one.rows.is_resident for one in job.passes)
        and not _has_loops(job)
        and n_products(job) <= MAX_PRODUCTS
        and _pays([job] * max_models, n_lanes=1)
    )


def _has_loops(job: Job) -> bool:
    """Tell whether a network goes over time steps: XLA does not compile such loops in a stack (TensorFlow 2.21)."""
    return any(isinstance(layer, keras.layers.RNN) for layer in flatten_layers(job.training.template.model))


def n_products(job: Job) -> int:
    """Count the products of weights and values in one step, forward."""
    template = job.training.template
    return job.training.shape.batch_size * sum(map(_n_products_of, template.model.layers))


def _n_products_of(layer: keras.layers.Layer) -> int:
    """Count a layer's weights, as often as it has places or time steps to bring them to."""
    n_weights = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
    try:
        inputs = keras.tree.flatten(layer.input)
    except AttributeError:
        # It stands in several places of the model.
        return n_weights
    return n_weights * math.prod(size or 1 for one in inputs[:1] for size in one.shape[1:-1])


@dataclass(frozen=True)
class Plan:
    """In how many lanes of how many slots some networks are trained; no slots means one after the other."""

    n_lanes: int
    n_slots: int


def plan_for(jobs: Sequence[Job], n_cores: int, max_models: int, max_bytes: int) -> Plan:
    """Decide how networks of one kind are trained. The rows in all slots take at most ``max_bytes``."""
    n_lanes = min(n_cores, len(jobs))
    n_fitting = max_bytes // max(1, n_lanes * max(job.n_bytes for job in jobs))
    n_slots = min(MAX_SLOTS, -(-max_models // n_lanes), -(-len(jobs) // n_lanes), n_fitting)
    if n_slots < 2 or not (_pays(jobs, n_lanes) or _is_kept(jobs, n_slots)):
        n_slots = 0
    return Plan(n_lanes, n_slots)


def _pays(jobs: Sequence[Job], n_lanes: int) -> bool:
    n_steps = sum(job.n_epochs_left * sum(one.rows.n_batches for one in job.passes) for job in jobs)
    return n_steps * SAVED_PER_STEP / n_lanes > COMPILE_SECONDS


def _is_kept(jobs: Sequence[Job], n_slots: int) -> bool:
    is_ragged = _is_ragged(jobs)
    return all(is_stack_program_kept(one.template, StackShape(one.shape, n_slots, is_ragged)) for one in jobs[0].passes)


def _is_ragged(jobs: Sequence[Job]) -> bool:
    return any(
        len({one.rows.n_batches for one in passes}) > 1 for passes in zip(*(job.passes for job in jobs), strict=True)
    )


def trainer(max_models: int, max_bytes: int) -> Callable[[Sequence[Job], Callable[[], bool]], list[Outcome]]:
    """Give a function that trains jobs together and answers each with its result or its error."""
    n_cores = os.cpu_count() or 1

    def train(jobs: Sequence[Job], should_stop: Callable[[], bool]) -> list[Outcome]:
        outcomes: dict[Job, Outcome] = {}
        for group in _groups(jobs):
            for job in group:
                job.should_stop = should_stop
            _train_group(group, plan_for(group, n_cores, max_models, max_bytes), outcomes)
        return [outcomes.get(job, job.error) for job in jobs]

    return train


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Sort jobs by program: the same template, equal shapes."""
    groups: dict[Hashable, list[Job]] = {}
    for job in jobs:
        groups.setdefault(tuple((one.template, one.shape) for one in job.passes), []).append(job)
    return list(groups.values())


def _train_group(jobs: Sequence[Job], plan: Plan, outcomes: dict[Job, Outcome]) -> None:
    waiting = deque(jobs)
    if plan.n_slots:
        try:
            lanes = [Lane(jobs[0], plan.n_slots, _is_ragged(jobs)) for _ in range(plan.n_lanes)]
        except Exception as error:
            _logger.info("Networks are trained one by one, since stacking them failed: %s.", error)
            lanes = []
        work: list[Callable[[], None]] = [partial(_run_lane, lane, waiting, outcomes) for lane in lanes]
    if not plan.n_slots or not lanes:
        work = [partial(_run_one_by_one, waiting, outcomes)] * plan.n_lanes
    with ThreadPoolExecutor(len(work)) as pool:
        for future in [pool.submit(part) for part in work]:
            future.result()


def _take(waiting: deque[Job]) -> Job | None:
    """Take the next job; popping is atomic, so that several threads may."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _run_one_by_one(waiting: deque[Job], outcomes: dict[Job, Outcome]) -> None:
    while (job := _take(waiting)) is not None:
        outcomes[job] = _outcome_of(partial(train_alone, job))


def _run_lane(lane: Lane, waiting: deque[Job], outcomes: dict[Job, Outcome]) -> None:
    """Train in a lane until nobody waits and half of its slots are empty; what is left goes on one by one."""
    while True:
        lane.fill(lambda: _take(waiting))
        if len(lane.jobs) <= lane.n_slots // 2 or lane.jobs[0].should_stop():
            break
        try:
            left = lane.run_epoch()
        except Exception as error:
            _logger.info("Networks go on one by one, since training them stacked failed: %s.", error)
            break
        for job in left:
            outcomes[job] = job.error or _outcome_of(partial(_ended, job))
    _run_one_by_one(deque(lane.release()), outcomes)
    # Some may be waiting still, after a failure or a request to stop.
    _run_one_by_one(waiting, outcomes)


def _ended(job: Job) -> Any:
    job.end()
    return job.result()


def _outcome_of(work: Callable[[], Any]) -> Outcome:
    try:
        return work()
    except (Exception, MeetingCancelledError) as error:
        return error
