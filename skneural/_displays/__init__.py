"""Pictures of estimators, in scikit-learn's Display manner.

Matplotlib is an optional dependency: it is imported when something is drawn, never when these modules are imported.
"""

from __future__ import annotations

from skneural._compat import first_import  # noqa: F401 - before whatever imports TensorFlow
