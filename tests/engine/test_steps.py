"""Training steps of a family's own: what they compute, and which rows count."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from step_networks import RECONSTRUCT, WEIGHTS, L, X, assert_close, linear_autoencoder, network_of, trained

from skneural._engine import Data, EarlyStopping, Network, Settings, Step, fit, predict
from skneural._engine.data import feeding as _feeding
from skneural._engine.data.rows import epoch_order
from skneural._engine.xla.program import traces

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


# --- the same as elsewhere ------------------------------------------------------------------------------------------


@pytest.mark.native
@pytest.mark.parametrize(("loss", "way"), [(None, "compiled"), ("mse", "native")])
def test_a_linear_autoencoder_reaches_the_reconstruction_of_pca(loss, way):
    centred = X - X.mean(axis=0)
    network = linear_autoencoder(loss)
    step = None if loss else RECONSTRUCT
    settings = Settings(epochs=400, batch_size=len(X), seed=0, step=step)
    assert fit(network, Data.of(centred, centred), None, settings).way == way
    pca = PCA(2).fit(centred)
    expected = pca.inverse_transform(pca.transform(centred))
    np.testing.assert_allclose(predict(network, centred), expected, atol=2e-2)


class Centres(L.Layer):
    """Cluster centres, shape (n_clusters, n_features); gives the distances of rows from them."""

    is_row_wise = True

    def __init__(self, n_clusters, **keywords):
        super().__init__(**keywords)
        self.n_clusters = n_clusters

    def build(self, shape):
        self.centres = self.add_weight(shape=(self.n_clusters, shape[-1]), name="centres")

    def call(self, rows):
        return tf.norm(rows[:, None] - self.centres, axis=-1)

    def get_config(self):
        return super().get_config() | {"n_clusters": self.n_clusters}


def test_a_step_of_k_means_is_lloyds():
    """The rate is such that a step goes to the mean: the gradient of half the mean square is n_k / n * (c - mean)."""
    network = network_of([Centres(3, name="centres")], keras.optimizers.SGD(1.0))
    centres = X[:3].copy()
    network.assign_weights("centres", [centres])

    def losses(call, batch):
        to_centres = batch.inputs[0] - tf.gather(call.layer("centres").centres, batch.targets)
        return batch.tables["scale"][0] * 0.5 * tf.reduce_sum(to_centres**2, axis=-1) * batch.numbers["half"] * 2.0

    assigned = []

    def assign(epoch, network):
        assigned.append(predict(network, X).argmin(axis=1).astype(np.int32))
        n_rows = np.bincount(assigned[-1], minlength=3)
        return Data((X,), assigned[-1], (len(X) / n_rows[assigned[-1]]).astype(np.float32), tables)

    tables = {"scale": np.ones(1, np.float32)}
    first = Data((X,), np.zeros(len(X), np.int32), np.ones(len(X), np.float32), tables)
    step = Step("k-means", losses, {"half": 0.5})
    before = traces.n_traces
    trained(network, step, first, epochs=4, batch_size=len(X), renew=assign)
    # One to train, one to predict.
    assert traces.n_traces - before == 2
    lloyd = KMeans(3, init=centres, n_init=1, max_iter=4, tol=0).fit(X)
    np.testing.assert_allclose(network.get_weights()[0], lloyd.cluster_centers_, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(assigned[0], assigned[-1])


PAIRS = np.random.default_rng(0).integers(0, len(X), (37, 2)).astype(np.int32)


def pair_losses(call, batch):
    ends = [call(tf.gather(batch.tables["X"], batch.inputs[0][:, end])) for end in range(2)]
    return tf.math.log1p(batch.numbers["spread"] * tf.reduce_sum((ends[0] - ends[1]) ** 2, axis=-1))


def pairs_step(spread):
    return Step("pairs", pair_losses, {"spread": spread})


def pairs_by_hand(network, spread, batch_size, epochs):
    """The same with nothing but TensorFlow's tape and Keras's optimizer."""
    model, losses = network.model, []
    for epoch in range(epochs):
        order = epoch_order(len(PAIRS), 5, epoch, True)
        total = 0.0
        for start in range(0, len(PAIRS), batch_size):
            rows = order[start : start + batch_size]
            with tf.GradientTape() as tape:
                ends = [model(X[PAIRS[rows, end]], training=True) for end in range(2)]
                distance = tf.reduce_sum((ends[0] - ends[1]) ** 2, axis=-1)
                loss = tf.reduce_mean(tf.math.log1p(spread * distance) * WEIGHTS[rows])
                loss += sum(model.losses)
            gradients = tape.gradient(loss, model.trainable_variables)
            model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            total += float(loss) * len(rows)
        losses.append(total / len(PAIRS))
    return model.get_weights(), losses


def embedding(seed=3):
    return network_of([L.Dense(6, "tanh", kernel_regularizer="l2"), L.Dense(2)], keras.optimizers.Adam(0.01), seed)


@pytest.mark.parametrize("batch_size", [8, 37, 50])
def test_a_step_over_pairs_equals_tape_and_optimizer(batch_size):
    """37 pairs: the last batch of 8 has 5, that of 50 has 37, and both are filled up."""
    network = embedding()
    data = Data((PAIRS,), None, WEIGHTS[: len(PAIRS)], {"X": X})
    result = trained(network, pairs_step(0.7), data, batch_size=batch_size)
    expected, losses = pairs_by_hand(embedding(), 0.7, batch_size, 3)
    assert_close(network, expected, atol=1e-5)
    np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-5)


def test_pairs_that_come_in_parts_train_as_resident_ones(monkeypatch):
    data = Data((PAIRS,), None, WEIGHTS[: len(PAIRS)], {"X": X})
    resident, streamed = embedding(), embedding()
    trained(resident, pairs_step(0.7), data, batch_size=8)
    monkeypatch.setattr(_feeding, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(_feeding, "PART_BYTES", 2 * 8 * 2 * 4)
    trained(streamed, pairs_step(0.7), data, batch_size=8)
    assert_close(streamed, resident.get_weights())


def test_numbers_are_inputs_and_a_step_is_traced_once():
    data = Data((PAIRS,), None, None, {"X": X})
    trained(embedding(), pairs_step(0.7), data)
    before = traces.n_traces
    networks = [embedding(seed=4) for _ in range(2)]
    for network, spread in zip(networks, (0.7, 5.0), strict=True):
        trained(network, Step("pairs", lambda call, batch: 1 / 0, {"spread": spread}), data)
    assert traces.n_traces == before
    assert not np.allclose(networks[0].get_weights()[0], networks[1].get_weights()[0])
    trained(embedding(), Step("other pairs", pair_losses, {"spread": 0.7}), data)
    assert traces.n_traces == before + 1


# --- which rows count -----------------------------------------------------------------------------------------------


def contrastive(call, batch):
    """InfoNCE: each row's two noisy views are to be nearer to each other than to the other rows of the batch."""
    rows = batch.inputs[0]
    views = [call(rows + 0.1 * (index - 0.5)) for index in range(2)]
    likenesses = tf.matmul(views[0], views[1], transpose_b=True)
    masked = tf.where(batch.row_mask[None, :] > 0, likenesses, -1e9)
    return tf.reduce_logsumexp(masked, axis=-1) - tf.linalg.diag_part(likenesses)


@pytest.mark.parametrize("normalisation", [[], [L.BatchNormalization()]], ids=["plain", "batch normalisation"])
def test_rows_that_fill_a_batch_do_not_count(normalisation):
    """10 rows in batches of 4: the last batch has 2."""
    layers = [L.Dense(4, "tanh"), *normalisation, L.Dense(3)]
    network = network_of(layers)
    trained(network, Step("contrastive", contrastive), Data((X[:10],)), batch_size=4, epochs=2)

    model = network_of([type(layer).from_config(layer.get_config()) for layer in layers]).model
    for epoch in range(2):
        order = epoch_order(10, 5, epoch, True)
        for start in range(0, 10, 4):
            rows = X[order[start : start + 4]]
            with tf.GradientTape() as tape:
                one, other = (model(rows + 0.1 * (index - 0.5), training=True) for index in range(2))
                likenesses = tf.matmul(one, other, transpose_b=True)
                losses = tf.reduce_logsumexp(likenesses, axis=-1) - tf.linalg.diag_part(likenesses)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, model.trainable_variables)
            model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    assert_close(network, model.get_weights(), rtol=1e-4, atol=1e-5)


def test_rows_of_a_call_count_as_it_says():
    """Batch normalisation over two views of each row: 10 rows in batches of 4, the last of 2."""

    def both_views(tells_mask):
        def losses(call, batch):
            rows, mask = batch.inputs[0], tf.tile(batch.row_mask, [2]) if tells_mask else None
            one, other = tf.split(call(tf.concat([rows, rows**2], axis=0), row_mask=mask), 2)
            return tf.reduce_sum((one - other - 1.0) ** 2, axis=-1)

        return Step(("both views", tells_mask), losses)

    network, model = (network_of([L.Dense(4), L.BatchNormalization(), L.Dense(2)]) for _ in range(2))
    trained(network, both_views(True), Data((X[:10],)), batch_size=4, epochs=1)
    model, order = model.model, epoch_order(10, 5, 0, True)
    for start in range(0, 10, 4):
        rows = X[order[start : start + 4]]
        with tf.GradientTape() as tape:
            one, other = tf.split(model(tf.concat([rows, rows**2], axis=0), training=True), 2)
            loss = tf.reduce_mean(tf.reduce_sum((one - other - 1.0) ** 2, axis=-1))
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    assert_close(network, model.get_weights(), rtol=1e-4, atol=1e-5)
    with pytest.raises(
        ValueError, match=r"Tell which of these 8 count \(row_mask=\.\.\.\): they are not the 4 of the batch"
    ):
        trained(network, both_views(False), Data((X[:10],)), batch_size=4, epochs=1)


def test_a_weight_of_two_is_the_row_twice():
    weights = np.ones(6, np.float32)
    weights[2] = 2.0
    weighted, doubled = network_of([L.Dense(5)]), network_of([L.Dense(5)], keras.optimizers.SGD(0.05 * 7 / 6))
    trained(weighted, RECONSTRUCT, Data((X[:6],), X[:6] ** 2, weights))
    rows = X[[0, 1, 2, 2, 3, 4, 5]]
    trained(doubled, RECONSTRUCT, Data((rows,), rows**2))
    assert_close(weighted, doubled.get_weights())


def test_a_step_of_the_squared_error_is_kerass_loss():
    """With dropout, penalties on weights and outputs, validation rows and early stopping."""

    def make(loss=None):
        keras.utils.set_random_seed(1)
        layers = [L.Dense(6, "relu", kernel_regularizer="l1", activity_regularizer="l2"), L.Dropout(0.3), L.Dense(5)]
        model = keras.Sequential([keras.Input((5,)), *layers])
        model.compile(keras.optimizers.Adam(0.05), loss)
        return Network.from_model(model)

    rule = EarlyStopping("val_loss", patience=2, min_delta=0.0)
    data, held_out = Data.of(X[:30], X[:30], WEIGHTS[:30]), Data.of(X[30:], X[30:])
    ours, theirs = make(), make("mse")
    settings = {"epochs": 30, "early_stopping": rule, "validation_batch_size": 12}
    result = trained(ours, RECONSTRUCT, data, held_out, **settings)
    expected = trained(theirs, None, data, held_out, **settings)
    assert result.n_epochs == expected.n_epochs
    assert result.best_epoch == expected.best_epoch
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(result.history[name], expected.history[name], rtol=1e-4)
    assert_close(ours, theirs.get_weights(), rtol=1e-3, atol=1e-4)
