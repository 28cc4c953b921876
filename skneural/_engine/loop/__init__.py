"""The epochs of one training run: its job, when it stops, callbacks, and Keras's own loop.

It imports all of the engine but what stands at its door.
"""
