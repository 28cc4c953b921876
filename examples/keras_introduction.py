"""An introduction to Keras in nine steps, on a table of pixels.

Run it with ``make introduction``. Each image is a row of the table: a column ``label`` and one column per pixel, as in
many courses. Without ``--csv``, the table is made from the images of handwritten digits that scikit-learn brings along.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import skneural  # whose classes load TensorFlow when they are first named, not for --help


def main() -> None:
    mpl.use("agg")  # figures are saved, and need no screen
    options = read_options()
    options.output.mkdir(parents=True, exist_ok=True)

    step(1, "Read the table with pandas")
    path = options.csv or write_digits_table(options.output / "digits.csv")
    table = pd.read_csv(path)
    labels, pixels = table["label"], table.drop(columns="label")
    print(f"{path}: {len(table)} rows, {table.shape[1]} columns")

    step(2, "Look at it")
    look_at(table)
    print(draw_images(pixels, labels, options.output / "images.png"))

    step(3, "Split it: 80 % to train on, 20 % to test on, each label with the same share in both")
    # Networks learn best from numbers of about the size of one.
    X = pixels / pixels.to_numpy().max()
    X_train, X_test, labels_train, labels_test = train_test_split(
        X, labels, test_size=0.2, stratify=labels, random_state=0
    )
    print(f"{len(X_train)} rows to train on, {len(X_test)} to test on")

    step(4, "One-hot: one column per label, with a 1 where the label is")
    y_train, y_test = pd.get_dummies(labels_train, dtype=int), pd.get_dummies(labels_test, dtype=int)
    print(pd.concat([labels_train, y_train], axis=1).head().to_string())

    step(5, "Describe the layers: sigmoid, tanh, and a softmax that gives each label its probability")
    network = skneural.DenseNetClassifier(
        hidden_layer_sizes=(128, 64),
        activation=("sigmoid", "tanh"),
        loss="categorical_crossentropy",  # labels exclude each other, so the last layer is a softmax
        kernel_initializer="random_normal",
        learning_rate=0.01,
        epochs=options.epochs,
        batch_size=256,
        random_state=0,
    )
    print(network)

    step(6, "Build it and see its summary")
    network.initialize(X_train, y_train)
    network.summary()
    print("Keras's total counts the numbers of the optimizer too; those of the network are the trainable ones.")
    print(draw_network(network, options.output / "network.png"))

    step(7, "Look at the initial weights: normally distributed around 0, as chosen with kernel_initializer")
    look_at_weights(network)

    step(8, f"Train it for {options.epochs} epochs with batches of 256, and watch the test rows")
    network.fit(X_train, y_train, X_val=X_test, y_val=y_test)
    epochs = pd.RangeIndex(1, network.n_iter_ + 1, name="epoch")
    print(pd.DataFrame(network.history_, index=epochs).iloc[[0, -1]].to_string())
    print(draw_training(network, options.output / "training_curves.png"))

    step(9, "Test it")
    accuracy = network.score(X_test, y_test)
    print(f"It reads {accuracy:.1%} of the {len(X_test)} test images right. The first ten:")
    probabilities = network.predict_proba(X_test[:10])
    print(pd.DataFrame({"label": labels_test[:10], "read as": y_test.columns[probabilities.argmax(axis=1)]}).T)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, help="table with a column 'label' and one column per pixel")
    parser.add_argument("--epochs", type=int, default=100, help="passes over the training rows")
    parser.add_argument("--output", type=Path, default=Path("introduction_report"), help="folder for the figures")
    return parser.parse_args()


def step(number: int, title: str) -> None:
    print(f"\n--- {number}. {title}\n")


def write_digits_table(path: Path) -> Path:
    """Write scikit-learn's digits, one row per image: the label and 64 pixels from 0 to 16."""
    digits = load_digits()
    table = pd.DataFrame(digits.data.astype(int), columns=[f"pixel{i}" for i in range(digits.data.shape[1])])
    table.insert(0, "label", digits.target)
    table.to_csv(path, index=False)
    return path


def look_at(table: pd.DataFrame) -> None:
    print(table.iloc[:, :12].head().to_string())
    print(f"\nshape: {table.shape}")
    print(f"missing values: {table.isna().sum().sum()}")
    print(f"\nrows per label:\n{table['label'].value_counts().sort_index().to_frame().T.to_string()}\n")


def draw_images(pixels: pd.DataFrame, labels: pd.Series, path: Path) -> Path:
    """Draw the first ten images, each a row of the table folded into a square."""
    side = math.isqrt(pixels.shape[1])
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for axes, image, label in zip(figure.subplots(2, 5).flat, pixels.to_numpy(), labels, strict=False):
        axes.imshow(image.reshape(side, side), cmap="gray_r")
        axes.set_title(label)
        axes.axis("off")
    figure.savefig(path, dpi=100)
    return path


def draw_network(network: skneural.DenseNetClassifier, path: Path) -> Path:
    skneural.NetworkDisplay.from_estimator(network).figure_.savefig(path, dpi=120)
    return path


def look_at_weights(network: skneural.DenseNetClassifier) -> None:
    for layer in network.model_.layers:
        kernel, bias = layer.get_weights()
        print(f"{layer.name}: kernel {kernel.shape}, mean {kernel.mean():+.3f}, standard deviation {kernel.std():.3f}")
        print(f"  {np.array2string(kernel[0, :6], precision=3)} ... bias {bias[:3]} ...")


def draw_training(network: skneural.DenseNetClassifier, path: Path) -> Path:
    display = skneural.TrainingCurveDisplay.from_estimator(network)
    for axes in display.axes_:
        axes.legend(["Train", "Test"])
    display.figure_.savefig(path, dpi=120)
    return path


if __name__ == "__main__":
    main()
