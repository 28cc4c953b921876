"""A product with all windows is the convolution that TensorFlow knows."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from skneural._architectures.window_layers import WindowProduct

IMAGES = np.random.default_rng(0).normal(size=(3, 9, 7, 2)).astype(np.float32)


@pytest.mark.parametrize(("size", "strides"), [(5, 2), (3, 2), (3, 1), (1, 3)])
def test_windows_are_those_of_a_convolution(size, strides):
    layer = WindowProduct(4, size, strides)
    border = size // 2
    filled = np.pad(IMAGES, [(0, 0), (border, border), (border, border), (0, 0)])
    found = layer(IMAGES).numpy()
    np.testing.assert_allclose(found, tf.nn.conv2d(filled, layer.kernel, strides, "VALID"), rtol=1e-5, atol=1e-5)
    assert layer.compute_output_shape(IMAGES.shape) == found.shape


def test_a_model_with_it_is_stored_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((9, 7, 2)), WindowProduct(4, 3, 2, kernel_initializer="he_normal")])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    assert isinstance(loaded.layers[0].kernel_initializer, keras.initializers.HeNormal)
