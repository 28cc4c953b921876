"""The engine's own model of an architecture, its numbers and first weights, and a network: architecture and state.

It imports ``identity`` and ``data``.
"""
