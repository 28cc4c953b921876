"""An estimator changes in one step: whoever looks meanwhile sees it as one fit has left it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np

Estimator = TypeVar("Estimator")
Method = TypeVar("Method", bound=Callable[..., Any])


@contextmanager
def in_one_step(estimator: Estimator, *, trains_in_place: bool = False) -> Iterator[Estimator]:
    """Give a twin to work on, and take over in one step what the block has changed in it once it has succeeded.

    Whoever predicts meanwhile in another thread sees the estimator as it was, and so does the user when it fails. The
    twin shares the network: with ``trains_in_place`` that is put back when the block fails.
    """
    before = dict(vars(estimator))
    twin = object.__new__(type(estimator))
    twin.__dict__ = dict(before)
    state = before["_network"].state if trains_in_place else None
    try:
        yield twin
    except BaseException:
        if state is not None:
            before["_network"].state = state
        raise
    changed = {name: value for name, value in vars(twin).items() if name not in before or value is not before[name]}
    # What the user has set in the meantime stays. One assignment: no thread sees half of it.
    kept = {name: value for name, value in vars(estimator).items() if name in vars(twin) or name not in before}
    estimator.__dict__ = kept | changed


def usual_rounding() -> np.errstate:
    """Let what is too small for a number be zero, and e to the power of much infinite, whatever the user's program."""
    return np.errstate(under="ignore", over="ignore")


def of_one_state(method: Method) -> Method:
    """Let a method read all attributes as one fit left them, though another thread may fit anew meanwhile."""

    @functools.wraps(method)
    def consistent(self: Any, *arguments: Any, **named: Any) -> Any:
        view = object.__new__(type(self))
        # A later fit gives the estimator another dict.
        view.__dict__ = vars(self)
        with usual_rounding():
            return method(view, *arguments, **named)

    return cast(Method, consistent)
