"""The epochs of one training run: the loop over them, its job and its runners, when it stops, callbacks.

It imports all of the engine but what stands at its door.
"""
