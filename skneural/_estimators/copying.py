"""Copies, clones, pickles and files of estimators: plain data, in which Keras's objects keep all of their arguments."""

from __future__ import annotations

import inspect
import os
from typing import Any, Self

from sklearn.base import BaseEstimator

from skneural import _engine
from skneural._compat.scikit_names import metadata_request_from, plain_metadata_request
from skneural._stored.file import save_file
from skneural._stored.forms import Writer
from skneural._stored.own_forms import check_fields
from skneural._stored.pickled import from_pickled, to_pickled

_REQUEST = "_metadata_request"


class Copied:
    """An estimator that can be stored: as parameters and attributes, each of a closed list of kinds."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the estimator to a file from which ``skneural.load`` makes it again without running code.

        The file is a zip of JSON and arrays with a checksum. It is written whole or not at all: a kill or a full disk
        leaves what was there before. Functions and classes of your own are not in it; who loads gives them by name.

        Parameters
        ----------
        path : str or path-like
            Name of the file, by habit with the ending ".skn". A file of this name is replaced.

        Raises
        ------
        ValueError
            For an attribute that is neither plain data nor can be asked for by a name.
        """
        save_file(self, path)

    def _to_stored_fields(self, writer: Writer) -> dict[str, Any]:
        """Return the nodes of all attributes."""
        state: dict[str, Any] = dict(BaseEstimator.__getstate__(self))
        if _REQUEST in state:
            state[_REQUEST] = plain_metadata_request(state[_REQUEST])
        parameters = {*self._get_param_names(), *getattr(self, "_user_params", ())}  # type: ignore[attr-defined]
        ordered = sorted(state, key=lambda name: name not in parameters)
        nodes = {
            name: writer.attribute(name, state[name], is_parameter=name in parameters or "__" in name.strip("_"))
            for name in ordered
        }
        return {name: nodes[name] for name in state}

    @classmethod
    def _from_stored_fields(cls, fields: dict[str, Any]) -> Self:
        """Make an estimator with these attributes."""
        check_fields(cls, fields)
        made = object.__new__(cls)
        made._take(fields)
        return made

    def _take(self, fields: dict[str, Any]) -> None:
        if _REQUEST in fields:
            fields[_REQUEST] = metadata_request_from(self, fields[_REQUEST])
        # A parameter that an earlier version did not have yet has its default.
        parameters = inspect.signature(type(self).__init__).parameters
        names = self._get_param_names()  # type: ignore[attr-defined]
        later = [name for name in names if name in parameters and name not in fields]
        defaults = {name: parameters[name].default for name in later}
        vars(self).update({name: one for name, one in defaults.items() if one is not inspect.Parameter.empty} | fields)

    def __getstate__(self) -> dict[str, Any]:
        return to_pickled(self._to_stored_fields)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._take(from_pickled(type(self).__name__, state))

    def __sklearn_clone__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__ = {name: _engine.carried(value) for name, value in vars(self).items()}
        clone: Self = BaseEstimator.__sklearn_clone__(twin)
        clone.__dict__ = {name: _engine.brought_back(value) for name, value in vars(clone).items()}
        return clone
