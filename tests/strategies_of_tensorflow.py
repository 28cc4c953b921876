"""Fits under a strategy, for tests: a process of its own, whose last line of output is JSON.

Run: python strategies_of_tensorflow.py mirrored
     python strategies_of_tensorflow.py worker INDEX PORT,PORT [folder=FOLDER] [killed_in=EPOCH]
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

RNG = np.random.default_rng(0)
X = RNG.normal(size=(256, 4)).astype(np.float32)
Y = X @ RNG.normal(size=4) + np.sin(X[:, 0])
SETTINGS = {"hidden_layer_sizes": (8,), "epochs": 3, "batch_size": 32, "learning_rate": 0.01, "random_state": 0}


def tell(told):
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def furthest(one, other):
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


def of_keras(network, order):
    """Weights that Keras's own fit of the same network gives, on rows in this order."""
    hidden, output = (
        keras.layers.Dense(size, activation, kernel_regularizer=keras.regularizers.L2(1e-4))
        for size, activation in ((8, "relu"), (1, None))
    )
    model = keras.Sequential([keras.Input((4,)), hidden, output])
    model.set_weights(network.initialize(X, Y).model_.get_weights())
    model.compile(keras.optimizers.Adam(0.01), "mean_squared_error")
    scaled = ((Y - Y.mean()) / Y.std()).astype(np.float32)[:, None]
    model.fit(X[order], scaled[order], batch_size=32, epochs=3, shuffle=False, verbose=0)
    return model.get_weights()


def stopped_and_gone_on(network):
    """Fit a network that is stopped in its last epoch, and goes on from a folder."""

    def stop(epoch, logs):
        if epoch == 2:
            raise KeyError("stopped")

    with tempfile.TemporaryDirectory() as folder:
        network.set_params(checkpoint=folder, callbacks=keras.callbacks.LambdaCallback(on_epoch_begin=stop))
        with contextlib.suppress(KeyError):
            network.fit(X, Y)
        begun = []
        watcher = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))
        network.set_params(callbacks=watcher).fit(X, Y)
    assert begun == [2]
    return network


def mirrored():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    from skneural import DenseNetClassifier, DenseNetRegressor

    alone = DenseNetRegressor(**SETTINGS).fit(X, Y)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        network = DenseNetRegressor(**SETTINGS).fit(X, Y)
        within = network.predict(X)
        in_order = DenseNetRegressor(**SETTINGS, shuffle=False).fit(X, Y)
        keras_weights = of_keras(DenseNetRegressor(**SETTINGS), np.arange(256))
        again = stopped_and_gone_on(DenseNetRegressor(**SETTINGS))
        judged = DenseNetClassifier((4,), early_stopping=True, epochs=2, random_state=0).fit(X, Y > 0)
        judged.partial_fit(X, Y > 0)
    return {
        "engine": network.engine_,
        "from alone": furthest(network.model_.get_weights(), alone.model_.get_weights()),
        "from Keras": furthest(in_order.model_.get_weights(), keras_weights),
        "from going on": furthest(again.model_.get_weights(), network.model_.get_weights()),
        "predictions": float(np.abs(network.predict(X) - within).max()),
        "history": sorted(judged.history_),
        "later": network.fit(X, Y).engine_,
    }


def killing_in(last):
    """Return a callback that kills its process when an epoch begins."""

    def begin(epoch, logs):
        if epoch == last:
            os.kill(os.getpid(), signal.SIGKILL)

    return keras.callbacks.LambdaCallback(on_epoch_begin=begin)


def worker(index, ports, **options):
    """Train as one of two workers, perhaps with a folder to keep the training in, or until one of them is killed."""
    cluster = {"worker": [f"localhost:{port}" for port in ports.split(",")]}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    from skneural import DenseNetRegressor

    network, begun = DenseNetRegressor(**SETTINGS), []
    if "folder" in options:
        network.set_params(checkpoint=options["folder"], epochs=6, dropout=0.2, batch_normalization=True)
        network.set_params(
            callbacks=keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: begun.append(epoch))
        )
    if "killed_in" in options and index:
        network.set_params(callbacks=killing_in(int(options["killed_in"])))
    try:
        with strategy.scope():
            network.fit(X, Y, X_val=X[:64], y_val=Y[:64])
    except RuntimeError as error:
        tell({"error": str(error)})
        os._exit(0)
    weights = network.model_.get_weights()
    told = {"engine": network.engine_, "begun": begun, "weights": [weight.tolist() for weight in weights]}
    if "folder" not in options:
        alone = DenseNetRegressor(**SETTINGS).fit(X, Y, X_val=X[:64], y_val=Y[:64])
        told["from alone"] = furthest(weights, alone.model_.get_weights())
        told["losses"] = [network.history_["val_loss"], alone.history_["val_loss"]]
    return told


if __name__ == "__main__":
    which, *arguments = sys.argv[1:]
    if which == "mirrored":
        told = mirrored()
    else:
        index, ports, *rest = arguments
        told = worker(int(index), ports, **dict(one.split("=") for one in rest))
    tell(told)
