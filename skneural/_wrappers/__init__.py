"""Bring your own Keras model: the only place that knows scikeras.

It may import estimators and what is below them.
"""

from __future__ import annotations

from skneural._compat import first_import  # noqa: F401 - before whatever imports TensorFlow
