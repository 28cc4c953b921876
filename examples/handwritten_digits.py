"""Read handwritten digits with a convolutional network, and look at what it gets wrong and at what it has learned.

Run it with ``make handwritten``. The table has a column of labels (``label``, or the first one) and one column per
pixel; without ``--csv`` it is made of the 1797 images of 8 x 8 pixels that scikit-learn brings along.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import PowerNorm
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import train_test_split

import skneural  # whose classes load TensorFlow when they are first named, not for --help

N_SHOWN = 12


def main() -> None:
    options = read_options()
    started = time.perf_counter()
    pixels, labels = read_table(options.csv)
    image_shape = shape_of_images(pixels, options.image_shape)
    print(f"{len(pixels)} images of {image_shape[0]} x {image_shape[1]} pixels, {labels.nunique()} labels")
    X_train, X_test, y_train, y_test = train_test_split(pixels, labels, test_size=0.25, stratify=labels, random_state=0)

    network = skneural.ConvNetClassifier(image_shape=image_shape, epochs=options.epochs, random_state=0)
    print(f"Training on {len(X_train)} images ...")
    network.fit(X_train, y_train)
    network.summary()
    predicted = network.predict(X_test)
    print(f"\n{classification_report(y_test, predicted, digits=3, zero_division=0)}")
    misread = np.flatnonzero(predicted != y_test.to_numpy())
    print(f"{len(misread)} of {len(X_test)} test images are misread.")

    mpl.use("agg")  # figures are saved, and need no screen
    options.output.mkdir(parents=True, exist_ok=True)
    print("Figures:")
    print(draw_confusion(y_test, predicted, options.output / "confusion_matrix.png"))
    images = X_test.to_numpy().reshape(-1, *image_shape)
    probabilities = network.predict_proba(X_test)
    print(draw_misread(network, images, y_test.to_numpy(), probabilities, misread, options.output / "misread.png"))
    print(draw_filters(network, options.output / "filters.png"))
    print(f"Done in {time.perf_counter() - started:.0f} seconds.")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, help="table of labels and pixels (default: the digits of scikit-learn)")
    parser.add_argument(
        "--image-shape", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="needed for images that are not square"
    )
    parser.add_argument(
        "--epochs",
        type=lambda text: text if text == "auto" else int(text),
        default="auto",
        help="passes over the images",
    )
    parser.add_argument("--output", type=Path, default=Path("handwritten_report"), help="folder for the figures")
    return parser.parse_args()


def read_table(path: Path | None) -> tuple[pd.DataFrame, pd.Series]:
    """Return pixels and labels."""
    bundled = load_digits(as_frame=True).frame.rename(columns={"target": "label"})
    table = bundled if path is None else pd.read_csv(path)
    label = "label" if "label" in table else table.columns[0]
    return table.drop(columns=label), table[label]


def shape_of_images(pixels: pd.DataFrame, given: list[int] | None) -> tuple[int, int]:
    if given is not None:
        return given[0], given[1]
    side = math.isqrt(pixels.shape[1])
    if side * side != pixels.shape[1]:
        raise SystemExit(f"{pixels.shape[1]} columns of pixels make no square: give --image-shape HEIGHT WIDTH.")
    return side, side


def draw_confusion(y: pd.Series, predicted: np.ndarray, path: Path) -> Path:
    # Errors are few, and would be as pale as zeros on a linear scale of colours.
    shades = {"norm": PowerNorm(0.3)}
    display = ConfusionMatrixDisplay.from_predictions(y, predicted, cmap="Blues", colorbar=False, im_kw=shades)
    display.ax_.set(title="Images that were not in the training", xlabel="Read as", ylabel="Label")
    return save(display.figure_, path)


def draw_misread(
    network: skneural.ConvNetClassifier,
    images: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    misread: np.ndarray,
    path: Path,
) -> Path:
    """Draw the images that were misread with the most confidence, each with the probabilities of all labels."""
    confidence = probabilities.max(axis=1)
    shown = misread[np.argsort(-confidence[misread])][:N_SHOWN]
    title = f"Misread images ({len(shown)} of {len(misread)})"
    if not len(shown):
        shown, title = np.argsort(confidence)[:N_SHOWN], "Nothing was misread: the least certain images"
    names = network.classes_.astype(str)
    n_rows = -(-len(shown) // 4)
    n_pairs = -(-len(shown) // n_rows)  # as few as fill these rows
    size = (max(3 * n_pairs, 5), 1.9 * n_rows + 0.9)
    figure, axes = plt.subplots(n_rows, 2 * n_pairs, figsize=size, squeeze=False, layout="constrained")
    figure.suptitle(title)
    for place, bars in zip(axes[:, ::2].flat, axes[:, 1::2].flat, strict=True):
        place.axis("off")
        bars.axis("off")
    for row, place, bars in zip(shown, axes[:, ::2].flat, axes[:, 1::2].flat, strict=False):
        place.imshow(images[row], cmap="gray_r")
        read_as = network.classes_[probabilities[row].argmax()]
        place.set_title(f"{labels[row]}, read as {read_as}", fontsize=9)
        bars.axis("on")
        colours = ["tab:green" if name == labels[row] else "tab:red" for name in network.classes_]
        bars.barh(names, probabilities[row], color=colours)
        bars.set(xlim=(0, 1), xticks=(0, 1))
        bars.set_xlabel("Probability", fontsize=7)
        bars.invert_yaxis()
        bars.tick_params(labelsize=7)
    return save(figure, path)


def draw_filters(network: skneural.ConvNetClassifier, path: Path) -> Path:
    """Draw the kernels of the first convolution: red adds to the answer, blue takes away."""
    kernels = next(layer for layer in network.model_.layers if "conv" in layer.name).kernel.numpy()[:, :, 0]
    extreme = np.abs(kernels).max()
    n_rows = -(-kernels.shape[-1] // 8)
    figure, axes = plt.subplots(n_rows, 8, figsize=(8, n_rows + 0.6), squeeze=False, layout="constrained")
    figure.suptitle("Filters of the first convolution: red adds, blue subtracts")
    for place in axes.flat:
        place.axis("off")
    for index, place in zip(range(kernels.shape[-1]), axes.flat, strict=False):
        drawn = place.imshow(kernels[:, :, index], cmap="bwr", vmin=-extreme, vmax=extreme)
    figure.colorbar(drawn, ax=axes, label="Weight", shrink=0.8)
    return save(figure, path)


def save(figure: plt.Figure, path: Path) -> Path:
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


if __name__ == "__main__":
    main()
