"""What a bug report has to tell of the machine and of the packages."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_PACKAGES = (
    "skneural",
    "keras",
    "tensorflow",
    "scikit-learn",
    "scikeras",
    "numpy",
    "scipy",
    "pandas",
    "cachetools",
    "rich",
    "matplotlib",
    "joblib",
    "threadpoolctl",
    "h5py",
    "pip",
    "setuptools",
)
_NATIVE = "skneural._engine.native._native"


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of each package that is installed."""
    return {name: _version_of(name) for name in packages}


def show_versions() -> None:
    """Print what a bug report has to tell: Python, platform, packages, BLAS, cores and the native engine.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn.

    Notes
    -----
    Networks that the native engine has trained depend, in their last digits, on the instruction set that it uses; where
    it was not built, XLA trains them, with other digits again.

    Examples
    --------
    >>> import skneural
    >>> skneural.show_versions()  # doctest: +ELLIPSIS
    System:
           python: 3...
    """
    print("System:")  # noqa: T201
    _print_table({"python": sys.version.replace("\n", " "), "executable": sys.executable, "machine": _machine()})
    print("\nPackages:")  # noqa: T201
    _print_table({name: _version_of(name) for name in _PACKAGES})
    print("\nEngines:")  # noqa: T201
    _print_table({"native": native_engine()} | {f"BLAS {number}": blas for number, blas in enumerate(_blas(), 1)})


def _print_table(values: dict[str, str]) -> None:
    for name, value in values.items():
        print(f"{name:>13}: {value}")  # noqa: T201


def _machine() -> str:
    return f"{platform.platform()}, {os.cpu_count()} cores"


def _version_of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def native_engine() -> str:
    """Tell whether the native engine was built, and which instructions it uses, without loading TensorFlow."""
    folder = Path(__file__).parent / "_engine" / "native"
    spec = PathFinder.find_spec(_NATIVE, [str(folder)])
    if spec is None or spec.loader is None:
        return "not built, dense networks are trained by XLA"
    try:
        module = sys.modules.get(_NATIVE) or module_from_spec(spec)
        return f"built, uses {module.instruction_set()} instructions"
    except ImportError as error:
        return f"built, but cannot be loaded: {error}"


def _blas() -> list[str]:
    """Each library for products of matrices that NumPy, SciPy or TensorFlow have loaded."""
    try:
        import numpy  # noqa: F401 - which loads its own
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return [f"{one['internal_api']} {one['version']}, {one['num_threads']} threads" for one in found]
