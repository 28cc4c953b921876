from collections.abc import Callable
from typing import Any

def instruction_set() -> str: ...
def run(
    parts: Any,
    part_rates: Any,
    penalties: Any,
    loss: int,
    metrics: Any,
    optimizer: tuple[Any, ...],
    values: Any,
    first: Any,
    second: Any,
    rates: Any,
    keys: Any,
    training: tuple[Any, ...] | None,
    validation: tuple[Any, ...] | None,
    results: Any,
    recorded: Any,
    n_steps: Any,
    encoding: tuple[Any, ...] | None,
    n_threads: int,
    is_portable: bool,
    ask: Callable[[], object] | None,
    /,
) -> None: ...
def predict(
    parts: Any,
    epsilons: Any,
    values: tuple[Any, ...],
    encoding: tuple[Any, ...] | None,
    X: Any,
    outputs: Any,
    n_threads: int,
    is_portable: bool,
    /,
) -> None: ...
