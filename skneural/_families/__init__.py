"""One file a family: its parameters, its docstring, its architecture; and what families share.

It may import everything but displays.
"""

from __future__ import annotations

from skneural._compat import first_import  # noqa: F401 - before whatever imports TensorFlow
