"""Where rows lie: neighbours and graphs of them, principal axes, layouts, clusters.

It may import rows, and needs no Keras.
"""
