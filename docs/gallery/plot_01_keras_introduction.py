"""
What does a Keras network see, and how does it learn?
=====================================================

An introduction to Keras's Sequential API, from a table of pixels to curves of loss and accuracy. Each row of the
table is an image of 8 x 8 pixels; scikit-learn brings 1797 of them.
"""

# %%
# A table of pixels
# -----------------
# One column for the label, one for each pixel.
from skneural import KerasClassifier, TrainingCurveDisplay

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

pixels, labels = load_digits(return_X_y=True, as_frame=True)
print(pixels.shape)
pixels.iloc[:3, 18:26]

# %%
# Split, and scale
# ----------------
# Four fifths to train on, each label with the same share in both parts. Networks learn best from numbers of about the
# size of one.
X_train, X_test, y_train, y_test = train_test_split(
    pixels.to_numpy() / 16,
    labels.to_numpy(),
    test_size=0.2,
    stratify=labels,
    random_state=0,
)

# %%
# One-hot: a column for each label, with a 1 where the label is. Here for the eye alone: the estimator takes labels as
# they are.
pd.get_dummies(y_train[:3], dtype=int)

# %%
# A row of 64 numbers becomes an image again when it is reshaped.
figure, axes = plt.subplots(1, 6, figsize=(8, 1.8), layout="constrained")
for place, row, label in zip(axes, X_train, y_train, strict=False):
    place.imshow(row.reshape(8, 8), cmap="gray_r")
    place.set_title(label)
    place.axis("off")

# %%
# Layers
# ------
# A sigmoid, a tanh, and a softmax that gives each of the ten labels its probability.


def build():
    return keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(
                128, activation="sigmoid", kernel_initializer="random_normal"
            ),
            keras.layers.Dense(
                64, activation="tanh", kernel_initializer="random_normal"
            ),
            keras.layers.Dense(
                10, activation="softmax", kernel_initializer="random_normal"
            ),
        ]
    )


network = KerasClassifier(
    build,
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
    optimizer="adam",
    epochs=100,
    batch_size=256,
    random_state=0,
)

# %%
# The summary tells shapes and counts: 64 x 128 weights and 128 biases make 8320 parameters in the first layer.
network.initialize(X_train, y_train)
network.model_.summary(print_fn=print)

# %%
# Before training, weights are small random numbers around zero, and biases are zero.
for layer in network.model_.layers:
    kernel, bias = layer.get_weights()
    print(
        f"{layer.name}: kernel {kernel.shape}, deviation {kernel.std():.3f}; largest bias {np.abs(bias).max()}"
    )

# %%
# Train
# -----
# 100 epochs in batches of 256, with the test part watched on the way.
network.fit(X_train, y_train, X_val=X_test, y_val=y_test)
display = TrainingCurveDisplay.from_estimator(network)
for place in display.axes_:
    place.legend(["Train", "Test"])

# %%
# How many of the test images does it read right?
print(f"{network.score(X_test, y_test):.1%}")
