"""
What does a convolution look for?
=================================

The filters of the first layer, and what each of them makes of one image: its feature maps. Red adds, blue
subtracts.
"""

from skneural import ConvNetClassifier

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
reader = ConvNetClassifier(
    image_shape=(8, 8),
    filters=(8,),
    convolutions_per_block=1,
    epochs=15,
    random_state=0,
).fit(X, y)

first = next(
    layer
    for layer in reader.model_.layers
    if isinstance(layer, keras.layers.Conv2D)
)
kernels = first.get_weights()[0][:, :, 0]
image = X[3].reshape(1, 8, 8, 1)
standard = (image - X.mean()) / X.std()
maps = keras.ops.convert_to_numpy(
    keras.ops.conv(standard.astype("float32"), first.kernel, padding="same")
)[0]

# %%
figure, axes = plt.subplots(2, 9, figsize=(11, 2.9), layout="constrained")
axes[0, 0].imshow(image[0, :, :, 0], cmap="gray_r")
axes[0, 0].set_title(f"a {y[3]}")
extremes = np.abs(kernels).max(), np.abs(maps).max()
for index in range(8):
    drawn = axes[0, index + 1].imshow(
        kernels[:, :, index], cmap="bwr", vmin=-extremes[0], vmax=extremes[0]
    )
    below = axes[1, index + 1].imshow(
        maps[:, :, index], cmap="bwr", vmin=-extremes[1], vmax=extremes[1]
    )
for place in axes.flat:
    place.axis("off")
figure.colorbar(drawn, ax=axes[0], label="weight")
figure.colorbar(below, ax=axes[1], label="answer")
