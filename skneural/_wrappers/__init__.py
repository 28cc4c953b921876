"""Bring your own Keras model: the only place that knows scikeras.

It may import estimators and what is below them.
"""
