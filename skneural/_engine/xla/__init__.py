"""Training as compiled programs: a step, a pass over rows, several epochs.

It imports ``model`` and what that imports.
"""
