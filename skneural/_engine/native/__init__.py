"""Training of plain dense networks in C, in the folder ``c``, and what Python has to tell it.

It imports ``model``, ``data`` and the shapes of passes in ``xla``.
"""
