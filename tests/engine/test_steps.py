"""Training steps of a family's own: what they compute, what they share, and what may change between epochs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from skneural._engine import Blueprint, Data, EarlyStopping, Network, Settings, Step, fit, predict
from skneural._engine.data import feeding as _feeding
from skneural._engine.data.rows import epoch_order
from skneural._engine.xla.program import traces

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(42, 5)).astype(np.float32) @ RNG.normal(size=(5, 5)).astype(np.float32)
WEIGHTS = RNG.uniform(0.5, 2.0, len(X)).astype(np.float32)


def network_of(layers, optimizer=None, seed=3, n_features=5):
    """A network without a loss, with kernels drawn from the seed."""
    model = keras.Sequential([keras.Input((n_features,)), *layers])
    rng = np.random.default_rng(seed)
    model.set_weights([w if w.ndim < 2 else rng.normal(0, 0.5, w.shape) for w in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.05) if optimizer is None else optimizer)
    return Network.from_model(model)


def trained(network, step, data, validation=None, **changes):
    settings = Settings(**{"epochs": 3, "batch_size": 16, "seed": 5, "step": step} | changes)
    result = fit(network, data, validation, settings)
    assert result.way == "compiled"
    return result


def assert_close(network, expected, rtol=1e-5, atol=1e-6):
    for value, other in zip(network.get_weights(), expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=rtol, atol=atol)


def squared_errors(call, batch):
    return tf.reduce_mean((call(batch.inputs[0]) - batch.targets) ** 2, axis=-1)


RECONSTRUCT = Step("reconstruct", squared_errors)


# --- the same as elsewhere ------------------------------------------------------------------------------------------


def linear_autoencoder(loss=None):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), L.Dense(2, use_bias=False), L.Dense(5, use_bias=False)])
    model.compile(keras.optimizers.Adam(0.02), loss)
    return Network.from_model(model)


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


PAIRS = RNG.integers(0, len(X), (37, 2)).astype(np.int32)


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


# --- random numbers, outputs, hooks ---------------------------------------------------------------------------------


def noisy_losses(call, batch):
    noise = batch.uniform((batch.size, 5)) - batch.uniform((batch.size, 5), stream=1)
    other = tf.gather(batch.tables["X"], batch.integers(batch.numbers["n"], (batch.size,), stream=2))
    return tf.reduce_sum((call(batch.inputs[0] + noise) - other) ** 2, axis=-1)


def test_random_numbers_follow_seed_epoch_and_batch():
    def fitted(**changes):
        network = network_of([L.Dense(5)])
        data = Data((X,), None, None, {"X": X})
        result = trained(network, Step("noisy", noisy_losses, {"n": len(X)}), data, data, **changes)
        return network.get_weights()[0], result.history

    (weights, history), (again, _), (other, _) = fitted(), fitted(), fitted(seed=6)
    np.testing.assert_array_equal(weights, again)
    assert not np.allclose(weights, other)
    watched, expected = fitted(on_epoch_end=lambda epoch, logs: False)
    np.testing.assert_allclose(watched, weights, rtol=1e-4, atol=1e-6)
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-5)
    _, frozen = fitted(learning_rate_factors=(0.0, 0.0, 0.0))
    assert len(set(frozen["loss"])) == 3
    assert len(set(frozen["val_loss"])) == 1


def test_random_numbers_are_uniform_and_of_streams_apart():
    def look(call, batch):
        rows = tf.cast(batch.inputs[0][:, 0], tf.int32)
        numbers = tf.stack([batch.uniform((64,)), batch.uniform((64,), 1)], axis=1)
        places = tf.cast(batch.integers(7, (64,)), tf.float32)
        outputs = call.layer("seen")
        outputs.seen.assign(tf.concat([numbers, places[:, None]], axis=1))
        return 0.0 * tf.cast(rows, tf.float32) + 0.0 * tf.reduce_sum(call(batch.inputs[0]))

    class Seen(L.Layer):
        is_row_wise = True

        def build(self, shape):
            self.seen = self.add_weight(shape=(64, 3), name="seen", trainable=False, initializer="zeros")

        def call(self, rows):
            return rows

    network = network_of([Seen(name="seen"), L.Dense(1)])
    trained(network, Step("look", look), Data((np.tile(X, (2, 1))[:64],)), batch_size=64, epochs=1)
    drawn = next(value for value in network.get_weights() if value.shape == (64, 3))
    assert (drawn[:, :2] >= 0).all()
    assert (drawn[:, :2] < 1).all()
    np.testing.assert_allclose(drawn[:, :2].mean(axis=0), 0.5, atol=0.12)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.3
    assert set(drawn[:, 2]) == set(range(7))


def test_outputs_by_the_names_of_layers():
    def losses(call, batch):
        code, rows = call(batch.inputs[0], ["code", "rows"])
        decoded = call.layer("rows")(code)
        alone = call(batch.inputs[0], "code")
        return tf.reduce_sum((rows + decoded - 2 * batch.inputs[0]) ** 2, -1) / 4 + tf.reduce_sum(code * alone, -1)

    def model_of(**arguments):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((5,))
        code = L.Dense(2, name="code")(inputs)
        model = keras.Model(inputs, [L.Dense(5, name="rows")(code), code])
        model.compile(keras.optimizers.SGD(0.01), **arguments)
        return Network.from_model(model)

    ours, theirs = model_of(), model_of(loss=["mse", "mse"], loss_weights=[5.0, 2.0])
    trained(ours, Step("two outputs", losses), Data((X,)), epochs=1, batch_size=len(X))
    with pytest.raises(ValueError, match=r"has 2 outputs: name the layer that is wanted \(output=\.\.\.\)"):
        predict(ours, X)
    theirs.model.fit(X, [X, np.zeros((len(X), 2), np.float32)], batch_size=len(X), verbose=0)
    assert_close(ours, theirs.get_weights(), rtol=1e-4)


def test_each_way_through_a_model_has_dropout_masks_of_its_own():
    def losses(call, batch):
        one, other = call(batch.inputs[0]), call(batch.inputs[0])
        return tf.reduce_sum((one - other) ** 2, axis=-1)

    network = network_of([L.Dropout(0.5), L.Dense(2)])
    assert trained(network, Step("twice", losses), Data((X,)), Data((X,))).history["loss"][0] > 0.1


def test_callbacks_and_a_schedule_see_a_step_train():
    seen = []

    class Watcher(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs), float(self.model.optimizer.learning_rate)))
            self.model.stop_training = epoch == 1

    data = Data.of(X, X)
    result = trained(
        network_of([L.Dense(5)]), RECONSTRUCT, data, data, callbacks=(Watcher(),), learning_rate_factors=(1.0, 0.5, 0.1)
    )
    assert result.stopped_by == "callback"
    assert [(epoch, names) for epoch, names, _ in seen] == [(0, ["loss", "val_loss"]), (1, ["loss", "val_loss"])]
    np.testing.assert_allclose([rate for *_, rate in seen], [0.05, 0.025])


# --- what XLA does not know, and what cannot be ---------------------------------------------------------------------


def in_python(call, batch):
    outputs = call(batch.inputs[0])
    targets = tf.numpy_function(np.sin, [batch.inputs[0]], tf.float32)
    targets.set_shape(outputs.shape)
    return tf.reduce_mean((outputs - targets) ** 2, axis=-1)


def test_what_xla_cannot_compile_of_a_step_tensorflow_runs():
    python, plain = network_of([L.Dense(5)]), network_of([L.Dense(5)])
    trained(python, Step("in python", in_python), Data((X,)))
    trained(plain, RECONSTRUCT, Data((X,), np.sin(X)))
    assert_close(python, plain.get_weights(), atol=1e-5)
    before = traces.n_traces
    trained(network_of([L.Dense(5)], seed=9), Step("in python", in_python), Data((X,)))
    assert traces.n_traces == before


class OnBatches(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize(
    ("network", "changes", "reason"),
    [
        (lambda: network_of([L.Dense(5)]), {"callbacks": (OnBatches(),)}, "OnBatches acts on every batch"),
        (lambda: linear_autoencoder("mse"), {}, "compiled with a loss or metrics, not with an optimizer alone"),
    ],
)
def test_kerass_own_fit_is_no_place_for_steps(network, changes, reason):
    with pytest.raises(ValueError, match=f"cannot be trained by the step 'reconstruct': .*{reason}"):
        trained(network(), RECONSTRUCT, Data.of(X, X), **changes)


def test_a_fault_in_a_step_is_shown_as_it_is():
    with pytest.raises(ZeroDivisionError):
        trained(network_of([L.Dense(5)]), Step("faulty", lambda call, batch: 1 / 0), Data((X,)))
    mean = Step("mean", lambda call, batch: tf.reduce_mean(call(batch.inputs[0])))
    with pytest.raises(ValueError, match=r"a tensor of shape \(16,\)\. Got one of shape \(\) instead"):
        trained(network_of([L.Dense(5)]), mean, Data((X,)))


@pytest.mark.native
@pytest.mark.parametrize("way", ["native", "keras"])
def test_renewed_targets_of_a_keras_loss(way):
    """Epochs with other targets each are fits with them, one after the other."""
    arguments = {"validation_freq": 1} if way == "keras" else {}
    targets = [X / 2, X**2, np.sin(X)]

    def fitted(epochs, first, renew=None, network=None):
        network = network or linear_autoencoder("mse")
        settings = Settings(
            epochs=epochs, initial_epoch=first, batch_size=16, seed=5, renew=renew, keras_fit_arguments=arguments
        )
        assert fit(network, Data((X,), targets[first]), None, settings).way == way
        return network

    renewed = fitted(3, 0, lambda epoch, network: Data((X,), targets[epoch]) if epoch else None)
    expected = None
    for epoch in range(3):
        expected = fitted(1, epoch, network=expected)
    assert_close(renewed, expected.get_weights())


def test_a_target_that_is_the_input_is_not_copied():
    rows = _feeding.Rows(Data.of(X.astype(np.float64), None), 16, ["float32"])
    assert list(rows.arrays) == ["input 0"]
    data = Data.of(X, X, WEIGHTS)
    assert list(_feeding.Rows(data, 16, ["float32"]).arrays) == ["input 0", "sample_weight"]
    part = data.take(slice(3, 9))
    assert part.targets is part.inputs[0]
    with pytest.raises(TypeError, match=r"Data takes a tuple of inputs"):
        Data(X, X)


@pytest.mark.native
@pytest.mark.parametrize("way", ["native", "compiled", "keras"])
def test_sparse_rows_that_are_their_own_targets(way):
    arguments = {"validation_freq": 1} if way == "keras" else {}
    networks = []
    for rows in (X, sparse.csr_array(X)):
        networks.append(linear_autoencoder(None if way == "compiled" else "mse"))
        settings = Settings(
            epochs=2,
            batch_size=16,
            seed=0,
            step=RECONSTRUCT if way == "compiled" else None,
            keras_fit_arguments=arguments,
        )
        assert fit(networks[-1], Data.of(rows, rows), Data.of(rows, rows), settings).way == way
    assert_close(networks[1], networks[0].get_weights())


def test_renewed_data_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"that renew gives must have .*'input 0': \(\(42, 5\), 'float32'\)"):
        trained(network_of([L.Dense(5)]), RECONSTRUCT, Data.of(X, X**2), renew=lambda *_: Data.of(X[:9], X[:9] ** 2))


def test_a_blueprint_without_a_loss_trains_by_a_step():
    def build():
        return keras.Sequential([keras.Input((5,)), L.Dense(2, name="code"), L.Dense(5)])

    def compile_it(model):
        model.compile(keras.optimizers.Adam(0.01))

    network = Network.from_blueprint(Blueprint("autoencoder", build, compile_it, {"learning_rate": 0.05}), 1)
    result = trained(network, RECONSTRUCT, Data.of(X, X), epochs=30)
    assert result.history["loss"][-1] < 0.5 * result.history["loss"][0]
    assert not network.is_materialised
    assert predict(network, X, output="code").shape == (len(X), 2)
