"""One bar for a block of fits: networks and epochs that are done, and the time left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .ledger import Ledger


@contextmanager
def shown_progress(ledger: Ledger) -> Iterator[None]:
    """Show what a ledger counts in a bar on the standard error stream, as long as the block runs.

    The totals hold the fits that have come so far, those yet to begin with as many epochs as the others on average.
    """
    columns = (
        TextColumn("networks {task.fields[n_models_done]}/{task.fields[n_models]}"),
        BarColumn(),
        TextColumn("epochs {task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("fits", total=0, n_models=0, n_models_done=0)

        def update(ledger: Ledger) -> None:
            progress.update(
                bar,
                completed=ledger.n_epochs_done,
                total=ledger.n_epochs_expected,
                n_models=ledger.n_models_expected,
                n_models_done=ledger.n_models_done,
            )

        ledger.on_change = update
        yield
