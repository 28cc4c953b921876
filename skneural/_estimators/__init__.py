"""What every estimator is: parameters, targets, compiling, the path from data to a trained network, prediction.

It may import rows, the engine, and what is below them.
"""

from __future__ import annotations

from skneural._compat import first_import  # noqa: F401 - before whatever imports TensorFlow
