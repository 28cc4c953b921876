"""Python's, NumPy's and SciPy's own values as plain data."""

from __future__ import annotations

import base64
import builtins
import datetime
import decimal
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .forms import Form, Node, Reader, StoredDataError, Writer, checked

_TYPES = (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, type(None))
_SPARSE = tuple(f"{layout}_{kind}" for layout in ("csr", "csc", "coo") for kind in ("array", "matrix"))
_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
_MOMENTS = (datetime.datetime, datetime.date, datetime.time)


def _is_plain_array(value: Any) -> bool:
    return type(value) in (np.ndarray, np.memmap) and _is_plain_dtype(value.dtype)


def _is_plain_dtype(dtype: Any) -> bool:
    return dtype.kind in "biufcSUmM"


def _items(kind: type) -> Form:
    """Return the form of what holds other values."""
    return Form(
        kind.__name__,
        lambda value: type(value) is kind,
        lambda value, writer: [
            writer.node(item) for item in (value if kind is tuple else sorted(value, key=lambda item: repr(item)))
        ],
        lambda node, reader: kind(reader.value(checked(node, list))),
    )


def _dict_of(node: Node, reader: Reader) -> dict[Any, Any]:
    pairs = [checked(pair, list, 2) for pair in checked(node, list)]
    return {reader.value(key): reader.value(item) for key, item in pairs}


def _array_of(node: Node, reader: Reader) -> NDArray[Any]:
    return reader.array(node)


def _objects_of(node: Node, reader: Reader) -> NDArray[np.object_]:
    shape, items = checked(node, list, 2)
    values = np.empty(len(checked(items, list)), dtype=object)
    values[:] = [reader.value(item) for item in items]
    return values.reshape([checked(size, int) for size in checked(shape, list)])


def _scalar_node(value: np.generic, writer: Writer) -> Node:
    array = np.asarray(value)
    return [array.dtype.str, base64.b64encode(array.tobytes()).decode()]


def _scalar_of(node: Node, reader: Reader) -> Any:
    name, data = checked(node, list, 2)
    values = np.frombuffer(base64.b64decode(checked(data, str), validate=True), _dtype_of(name, reader))
    if values.shape != (1,):
        raise StoredDataError("Expected one number.")
    return values[0]


def _dtype_of(node: Node, reader: Reader) -> np.dtype[Any]:
    dtype = np.dtype(checked(node, str))
    if not (_is_plain_dtype(dtype) or dtype.kind == "O"):
        raise StoredDataError(f"Expected a plain dtype, got {dtype}.")
    return dtype


def _sparse_node(value: Any, writer: Writer) -> Node:
    rows = value.tocsr() if value.format == "coo" else value
    places = [writer.array(part) for part in (rows.data, rows.indices, rows.indptr)]
    return [type(value).__name__, list(value.shape), places]


def _sparse_of(node: Node, reader: Reader) -> Any:
    name, shape, places = checked(node, list, 3)
    if name not in _SPARSE:
        raise StoredDataError(f"There is no sparse array of the kind {str(name)[:80]!r}.")
    data, indices, indptr = (reader.array(place) for place in checked(places, list, 3))
    layout, kind = name.split("_")
    compressed = getattr(sparse, f"{'csr' if layout == 'coo' else layout}_{kind}")
    made = compressed((data, indices, indptr), shape=tuple(checked(shape, list)))
    # Code in C trusts indices.
    made.check_format(full_check=True)
    return made.tocoo() if layout == "coo" else made


def _moment_of(node: Node, reader: Reader) -> Any:
    name, text = checked(node, list, 2)
    kinds = {kind.__name__: kind for kind in _MOMENTS}
    if name not in kinds:
        raise StoredDataError(f"There is no time of the kind {str(name)[:80]!r}.")
    return kinds[name].fromisoformat(checked(text, str))


def _generator_node(value: Any, writer: Writer) -> Node:
    """A generator that occurs twice is one generator again."""
    for number, one in writer.shared.items():
        if one is value:
            return [number]
    writer.shared[len(writer.shared)] = value
    is_legacy = isinstance(value, np.random.RandomState)
    state = value.get_state(legacy=False) if is_legacy else value.bit_generator.state
    return [len(writer.shared) - 1, is_legacy, writer.node(_with_plain_numbers(state))]


def _with_plain_numbers(state: Any) -> Any:
    return {name: _with_plain_numbers(item) if isinstance(item, dict) else item for name, item in dict(state).items()}


def _generator_of(node: Node, reader: Reader) -> Any:
    number, *rest = checked(node, list)
    if not rest:
        if number not in reader.shared:
            raise StoredDataError(f"There is no generator {str(number)[:80]!r}.")
        return reader.shared[number]
    is_legacy, stored = checked(rest, list, 2)
    state = checked(reader.value(stored), dict)
    if state.get("bit_generator") not in _GENERATORS:
        raise StoredDataError("There is no such generator of random numbers.")
    bits = getattr(np.random, state["bit_generator"])()
    made: Any = np.random.RandomState(bits) if is_legacy else np.random.Generator(bits)
    if is_legacy:
        made.set_state(state)
    else:
        bits.state = state
    reader.shared[number] = made
    return made


def _type_node(value: type, writer: Writer) -> Node:
    return "NoneType" if value is type(None) else f"numpy.{value.__name__}" if value not in _TYPES else value.__name__


def _type_of(node: Node, reader: Reader) -> Any:
    name = checked(node, str)
    if name == "NoneType":
        return type(None)
    found = getattr(np, name[6:], None) if name.startswith("numpy.") else getattr(builtins, name, None)
    if found in _TYPES or (isinstance(found, type) and issubclass(found, np.generic)):
        return found
    raise StoredDataError(f"There is no type {name[:80]!r}.")


def _of_type(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in kinds


PLAIN_FORMS = (
    # Numbers that JSON has no word for.
    Form("float", _of_type(float), lambda value, _: repr(value), lambda node, _: float(checked(node, str))),
    _items(tuple),
    _items(set),
    _items(frozenset),
    Form(
        "dict",
        _of_type(dict),
        lambda value, writer: [[writer.node(key), writer.node(item)] for key, item in value.items()],
        _dict_of,
    ),
    Form(
        "bytes",
        _of_type(bytes),
        lambda value, writer: writer.array(np.frombuffer(value, np.uint8)),
        lambda node, reader: np.asarray(reader.array(node), np.uint8).tobytes(),
    ),
    Form(
        "complex",
        _of_type(complex),
        lambda value, _: [repr(value.real), repr(value.imag)],
        lambda node, _: complex(*(float(part) for part in checked(node, list, 2))),
    ),
    Form("array", _is_plain_array, lambda value, writer: writer.array(value), _array_of),
    Form(
        "objects",
        lambda value: type(value) is np.ndarray and value.dtype.kind == "O",
        lambda value, writer: [list(value.shape), [writer.node(item) for item in value.ravel().tolist()]],
        _objects_of,
    ),
    Form(
        "scalar", lambda value: isinstance(value, np.generic) and _is_plain_dtype(value.dtype), _scalar_node, _scalar_of
    ),
    Form(
        "dtype",
        lambda value: isinstance(value, np.dtype) and (_is_plain_dtype(value) or value.kind == "O"),
        lambda value, _: value.str,
        _dtype_of,
    ),
    Form("sparse", lambda value: sparse.issparse(value) and type(value).__name__ in _SPARSE, _sparse_node, _sparse_of),
    Form("moment", _of_type(*_MOMENTS), lambda value, _: [type(value).__name__, value.isoformat()], _moment_of),
    Form(
        "timedelta",
        _of_type(datetime.timedelta),
        lambda value, _: [value.days, value.seconds, value.microseconds],
        lambda node, _: datetime.timedelta(*checked(node, list, 3)),
    ),
    Form(
        "Timedelta",
        _of_type(pd.Timedelta),
        lambda value, writer: writer.node(value.to_timedelta64()),
        lambda node, reader: pd.Timedelta(reader.value(node)),
    ),
    Form(
        "decimal",
        _of_type(decimal.Decimal),
        lambda value, _: str(value),
        lambda node, _: decimal.Decimal(checked(node, str)),
    ),
    Form(
        "path",
        lambda value: isinstance(value, pathlib.Path),
        lambda value, _: str(value),
        lambda node, _: pathlib.Path(checked(node, str)),
    ),
    Form(
        "generator",
        lambda value: type(value) in (np.random.RandomState, np.random.Generator),
        _generator_node,
        _generator_of,
    ),
    Form(
        "type",
        lambda value: (
            value in _TYPES or (isinstance(value, type) and getattr(np, value.__name__, None) is value)
            if isinstance(value, type)
            else False
        ),
        _type_node,
        _type_of,
    ),
)
