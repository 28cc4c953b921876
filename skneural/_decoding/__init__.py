"""Translations token by token, in NumPy: what a network has computed for the tokens before is kept.

The numbers of a sentence do not depend on which sentences are translated with it. It may import architectures.
"""
