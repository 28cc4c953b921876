"""Oracle: ONNX's runtime computes from what is written the same as the estimator, in all families that it can say."""

from __future__ import annotations

import keras
import numpy as np
import onnxruntime
import pytest
import skl2onnx
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import (
    Autoencoder,
    ConvNetClassifier,
    ConvNetRegressor,
    DeepEmbeddedClustering,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    NeighborEmbedding,
    RecurrentNetClassifier,
    RecurrentNetRegressor,
    TabularNetClassifier,
    TabularNetRegressor,
    register_onnx_converters,
    to_onnx,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
NAMES, TWO = np.array(["a", "b", "c"])[RNG.integers(0, 3, 60)], X[:, 0] > 0
IMAGES = RNG.random((30, 8, 8, 2)).astype(np.float32)
SEQUENCES = RNG.normal(size=(30, 6, 2)).astype(np.float32)
SEQUENCES[::3, 4:] = np.nan
TABLE = X.copy()
TABLE[::5, 1], TABLE[:, 3] = np.nan, RNG.integers(0, 4, 60)
PLACES = np.arange(30) % 3
SHORT = {"epochs": 2, "random_state": 0}
TABULAR = {"n_members": 2, **SHORT}
OF_LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)
FITS = {
    "dense": (DenseNetClassifier((5,), batch_normalization=True, dropout=0.2, **SHORT), X, NAMES),
    "two classes": (DenseNetClassifier((5,), activation="elu", **SHORT), X, TWO),
    "logits": (DenseNetClassifier((5,), loss=OF_LOGITS, **SHORT), X, TWO),
    "labels": (DenseNetClassifier((5,), **SHORT), X, np.stack([TWO, ~TWO, X[:, 1] > 0], 1).astype(int)),
    "outputs": (DenseNetRegressor((5,), activation="selu", **SHORT), X, 10 * X[:, :2] + 5),
    "pipeline": (make_pipeline(StandardScaler(), DenseNetClassifier((5,), **SHORT)), X, NAMES),
    "conv": (ConvNetClassifier(filters=(4, 8), batch_normalization=True, **SHORT), IMAGES, PLACES),
    "flat images": (
        ConvNetRegressor(filters=(4,), pooling="average", image_shape=(8, 16), **SHORT),
        IMAGES.reshape(30, -1),
        PLACES,
    ),
    "gru": (RecurrentNetClassifier((4,), cell="gru", **SHORT), SEQUENCES, PLACES),
    "lstm": (RecurrentNetRegressor((4, 3), cell="lstm", bidirectional=True, pooling="max", **SHORT), SEQUENCES, PLACES),
    "simple": (RecurrentNetClassifier((4,), cell="simple", pooling="average", **SHORT), SEQUENCES, PLACES),
    "beside": (RecurrentNetClassifier((4,), filters=(4,), kernel_size=3, **SHORT), SEQUENCES, PLACES),
    "kernels": (RecurrentNetClassifier(parts="kernels", random_state=0), SEQUENCES, PLACES),
    "short": (
        RecurrentNetClassifier((4,), parts=["recurrent", "kernels"], n_averaged_steps=2, **SHORT),
        SEQUENCES,
        PLACES,
    ),
    "tabular": (TabularNetClassifier((4,), **TABULAR), TABLE, NAMES),
    "waves": (TabularNetClassifier((4,), numeric_encoding="periodic", categorical_features=[3], **TABULAR), TABLE, TWO),
    "bounded": (TabularNetRegressor((4,), **TABULAR), TABLE, X[:, 0]),
    "quantiles": (TabularNetRegressor((4,), loss="quantile", quantiles=[0.1, 0.5, 0.9], **TABULAR), TABLE, X[:, 0]),
}


def outputs_of(model, rows):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: rows.astype(np.float32)})


def assert_equal_answers(estimator, rows, outputs):
    if not hasattr(estimator, "predict_proba"):
        expected = estimator.predict(rows)
        assert_allclose(outputs[0].reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)
        return
    label, probabilities = outputs
    assert_allclose(probabilities, estimator.predict_proba(rows), atol=1e-5)
    assert_array_equal(label, estimator.predict(rows))


@pytest.mark.parametrize("name", FITS)
def test_the_runtime_answers_as_the_estimator(name):
    estimator, rows, target = FITS[name]
    estimator.fit(rows, target)
    taken = estimator.coded(rows) if name == "waves" else rows
    assert_equal_answers(estimator, rows, outputs_of(to_onnx(estimator, taken[:1]), taken))


def test_sequences_may_be_of_another_length_than_those_of_fit():
    estimator = RecurrentNetClassifier((4,), **SHORT).fit(SEQUENCES, PLACES)
    longer = RNG.normal(size=(5, 9, 2)).astype(np.float32)
    assert_equal_answers(estimator, longer, outputs_of(to_onnx(estimator, SEQUENCES[:1]), longer))


def sequential(*layers, end="softmax", shape=(4,)):
    def build(meta):
        n_outputs = 3 if end == "softmax" else 1
        return keras.Sequential([keras.Input(shape), *(make() for make in layers), keras.layers.Dense(n_outputs, end)])

    return build


L = keras.layers
LAYERS = {
    "activations": [
        lambda name=name: L.Dense(3, name) for name in ("gelu", "silu", "softplus", "softsign", "hard_sigmoid")
    ],
    "layers of activations": [
        lambda: L.LeakyReLU(0.3),
        lambda: L.PReLU(),
        lambda: L.ELU(0.5),
        lambda: L.ReLU(),
        L.Softmax,
    ],
    "normalisations": [lambda: L.Rescaling(0.5, 0.25), lambda: L.LayerNormalization(epsilon=0.1), L.BatchNormalization],
    "shapes": [lambda: L.Reshape((2, 2)), lambda: L.Conv1D(3, 2, padding="same"), lambda: L.MaxPooling1D(2), L.Flatten],
    "images": [
        lambda: L.Reshape((2, 2, 1)),
        lambda: L.Conv2D(4, 2, strides=2, padding="same", use_bias=False),
        L.GlobalAveragePooling2D,
        lambda: L.Dropout(0.5),
    ],
}


@pytest.mark.parametrize("name", LAYERS)
def test_common_layers_of_models_of_one_s_own(name):
    model = sequential(*LAYERS[name])
    estimator = KerasClassifier(model, loss="sparse_categorical_crossentropy", **SHORT).fit(X, NAMES)
    assert_equal_answers(estimator, X, outputs_of(to_onnx(estimator, X[:1]), X))


def test_a_functional_model():
    def build(meta):
        inputs = keras.Input((4,))
        one, other = L.Dense(3, "tanh")(inputs), L.Dense(3, "relu")(inputs)
        joined = L.Concatenate()([L.Add()([one, other]), L.Multiply()([one, other]), L.Average()([one, other])])
        return keras.Model(inputs, L.Dense(1)(keras.Sequential([keras.Input((9,)), L.Dense(2)])(joined)))

    estimator = KerasRegressor(build, loss="mse", **SHORT).fit(X, X[:, 0])
    assert_equal_answers(estimator, X, outputs_of(to_onnx(estimator, X[:1]), X))


def test_skl2onnx_takes_pipelines_after_one_call():
    register_onnx_converters()
    pipeline = make_pipeline(StandardScaler(), DenseNetClassifier((5,), **SHORT)).fit(X, TWO)
    model = skl2onnx.to_onnx(pipeline, X[:1], options={"zipmap": False}, target_opset=18)
    assert_equal_answers(pipeline, X, outputs_of(model, X))


FLAT = IMAGES[..., 0].reshape(30, -1)
OF_ROWS = {"n_components": 2, "hidden_layer_sizes": (4,), **SHORT}
CODES = {
    "codes": (Autoencoder(**OF_ROWS, noise=0.1, standardize=True), 3 * X + 5),
    "drawn codes": (Autoencoder(**OF_ROWS, variational=True), X),
    "holes": (Autoencoder(**OF_ROWS, missing="mask"), np.where(RNG.random(X.shape) < 0.2, np.nan, X)),
    "codes of images": (Autoencoder(2, image_shape=(8, 8), **SHORT), FLAT),
    "places": (NeighborEmbedding(n_neighbors=5, **SHORT), X),
    "places with a way back": (
        NeighborEmbedding(n_neighbors=5, hidden_layer_sizes=(4,), reconstruction_weight=0.5, **SHORT),
        X,
    ),
    "places of images": (NeighborEmbedding(n_neighbors=5, image_shape=(8, 8), **SHORT), FLAT),
    "places in a pipeline": (make_pipeline(StandardScaler(), NeighborEmbedding(n_neighbors=5, **SHORT)), X),
}


@pytest.mark.parametrize("name", CODES)
def test_the_runtime_transforms_as_the_estimator(name):
    estimator, rows = CODES[name]
    expected = estimator.fit(rows).transform(rows)
    (found,) = outputs_of(to_onnx(estimator, rows[:1]), rows)
    assert found.shape == (len(rows), 2)
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def square(x):
    return x * x


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (
            KerasRegressor(sequential(lambda: L.UnitNormalization(name="unit"), end=None)),
            r"The layer 'unit' \(UnitNorm",
        ),
        (KerasRegressor(sequential(lambda: L.Dense(2, square, name="own"), end=None)), "The layer 'own' .*'square'"),
        (DenseNetClassifier((3,), loss="hinge"), "not with a loss of margins"),
    ],
)
def test_what_cannot_be_written_is_named(estimator, said):
    estimator.set_params(epochs=1, random_state=0)
    if isinstance(estimator, KerasRegressor):
        estimator.set_params(loss="mse")
    estimator.fit(X, TWO if isinstance(estimator, DenseNetClassifier) else X[:, 0])
    with pytest.raises(ValueError, match=said):
        to_onnx(estimator, X[:1])


def test_estimators_that_cannot_be_written_are_refused():
    with pytest.raises(TypeError, match="Got LogisticRegression"):
        to_onnx(LogisticRegression().fit(X, TWO), X)
    with pytest.raises(TypeError, match="Got DeepEmbeddedClustering; of others of skneural, 'model_' is a Keras model"):
        to_onnx(DeepEmbeddedClustering(2), X)
