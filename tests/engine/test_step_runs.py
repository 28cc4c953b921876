"""Training steps of a family's own: what they see, what may change between epochs, and what cannot be."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse
from step_networks import RECONSTRUCT, WEIGHTS, L, X, assert_close, linear_autoencoder, network_of, trained

from skneural._engine import Blueprint, Data, Network, Settings, Step, fit, predict
from skneural._engine.data import feeding as _feeding
from skneural._engine.xla.program import traces

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


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
    network = network_of([L.Dense(5)])
    with pytest.raises(ZeroDivisionError):
        trained(network, Step("faulty", lambda call, batch: 1 / 0), Data((X,)))
    assert "faulty" not in {step.key for step in network.program_template(None).not_for_xla}
    with pytest.raises(ValueError, match=r"without targets can be learnt from by a step only \(Settings\.step\)"):
        trained(linear_autoencoder("mse"), None, Data((X,)))
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
