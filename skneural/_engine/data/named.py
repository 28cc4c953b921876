"""The arrays of training data by name, and those that take their place between two epochs."""

from __future__ import annotations

from typing import Any

from skneural._engine.records import Data


def renewed(present: Data, new: Data | None) -> Data:
    """Give the data of the epochs to come.

    Raises
    ------
    ValueError
        Where they do not have the arrays, shapes and dtypes of those before: programs take no others.
    """
    if new is None:
        return present
    before, after = forms_of(present), forms_of(new)
    if before != after:
        raise ValueError(
            "The data that renew gives must have the arrays, shapes and dtypes of those that training began with, "
            f"{before}. Got {after} instead."
        )
    return new


def forms_of(data: Data) -> dict[str, Any]:
    """Tell shape and dtype of each array, by names; a target that is an input too is told by that input's name."""
    named = arrays_of(data) | {f"table {name}": table for name, table in data.tables.items()}
    forms: dict[str, Any] = {name: (array.shape, str(array.dtype)) for name, array in named.items()}
    if data.target_input is not None:
        forms["targets"] = name_of_input(data.target_input)
    return forms


def name_of_input(index: int) -> str:
    """Give the name under which an input's rows go to a program."""
    return f"input {index}"


def arrays_of(data: Data) -> dict[str, Any]:
    """Give the arrays of rows by the names under which they go to a program."""
    arrays = {name_of_input(index): array for index, array in enumerate(data.inputs)}
    if data.targets is not None and data.target_input is None:
        arrays["targets"] = data.targets
    if data.sample_weight is not None:
        arrays["sample_weight"] = data.sample_weight
    return arrays
