"""One file a family: its parameters, its docstring, its architecture; and what families share.

It may import everything but displays.
"""
