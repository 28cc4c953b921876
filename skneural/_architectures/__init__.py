"""Sizes -> Keras models, our own Keras layers, first weights, and training steps of our own.

It may import geometry, the engine, and what is below them.
"""

from __future__ import annotations

from skneural._compat import first_import  # noqa: F401 - before whatever imports TensorFlow
