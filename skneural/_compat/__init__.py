"""Every private name of Keras, TensorFlow, scikit-learn and scikeras, with its version, a file for each.

It imports seeds alone.
"""
