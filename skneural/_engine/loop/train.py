"""The one loop over epochs, whoever takes a network through them."""

from __future__ import annotations

from typing import Protocol

from skneural._engine.interrupts import InterruptedCallError
from skneural._engine.records import Result

from .job import Job, Way


class Runner(Protocol):
    """Takes a job's network through its epochs: the native engine, compiled programs, or Keras's own fit."""

    way: Way
    why_keras: str | None

    def prepare(self) -> None:
        """Compile what there is to compile, before the network or the caller's hooks have seen anything.

        Raises
        ------
        ObstacleError
            Where that cannot be.
        """

    def begin(self) -> None:
        """Tell those who watch that training begins."""

    def run(self) -> None:
        """Train for an epoch or for several, and tell the job of each (``Job.end_epoch``)."""

    def end(self) -> None:
        """Bring the trained state into the network, and tell those who watch that training has ended."""

    def put_right(self) -> None:
        """Undo what held for an epoch only, and bring the job's state up to date."""


def train(job: Job, runner: Runner) -> Result:
    """Train a network from the epoch on that it has come to.

    Raises
    ------
    ObstacleError
        Before the network or the caller's hooks have seen anything.
    CancelledRunError
        When the job is asked to stop.
    """
    conduct, n_epochs, is_interrupted = job.settings.conduct, job.n_epochs_left, False
    conduct.begin(n_epochs)
    try:
        job.ask()
        job.go_on()
        if not job.is_done:
            runner.prepare()
        runner.begin()
        while not job.is_done:
            job.ask()
            runner.run()
            job.keep()
        runner.end()
    except KeyboardInterrupt as error:
        if isinstance(error, InterruptedCallError):
            job.state, job.has_trained = error.state, job.has_trained or error.has_trained
        if not (job.has_trained and job.settings.keeps_interrupted()):
            raise KeyboardInterrupt from error
        is_interrupted = True
    finally:
        conduct.end(n_epochs - job.judge.n_epochs)
    runner.put_right()
    return job.result(runner.way, runner.why_keras, is_interrupted=is_interrupted)
