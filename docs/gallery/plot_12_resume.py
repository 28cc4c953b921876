"""
Can training go on after a kill?
================================

Keras's ``BackupAndRestore`` writes the state after each epoch. A fit that died in epoch 31 is given again to a new
estimator, as in a new process: it goes on where the first one was.
"""

import tempfile

from skneural import DenseNetClassifier

import keras
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
X = X / 16


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 30:
            raise RuntimeError("killed")


def network(*callbacks):
    return DenseNetClassifier(
        (32,), epochs=60, callbacks=list(callbacks), random_state=0
    )


with tempfile.TemporaryDirectory() as folder:
    try:
        network(
            keras.callbacks.BackupAndRestore(folder + "/backup"), Kill()
        ).fit(X, y)
    except RuntimeError as error:
        print(error)
    resumed = network(keras.callbacks.BackupAndRestore(folder + "/backup")).fit(
        X, y
    )
whole = network().fit(X, y)

# %%
losses = resumed.history_["loss"]
figure, place = plt.subplots(figsize=(7, 3.5), layout="constrained")
place.plot(
    range(1, 61),
    whole.history_["loss"],
    label="never killed",
    linewidth=3,
    alpha=0.5,
)
place.plot(range(61 - len(losses), 61), losses, label="resumed", linestyle="--")
place.set(xlabel="Epoch", ylabel="Loss", yscale="log")
place.legend()
