"""Sizes -> Keras models, our own Keras layers, first weights, and training steps of our own.

It may import geometry, the engine, and what is below them.
"""
