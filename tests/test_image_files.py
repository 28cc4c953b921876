"""Contract: images in files teach what the same images in arrays teach."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skneural import ConvNetClassifier
from skneural._rows import image_files
from skneural.exceptions import ReadError

SMALL = {"filters": (4,), "convolutions_per_block": 1, "epochs": 2, "augment": False, "random_state": 0}


@pytest.fixture
def images(tmp_path: Path) -> tuple[np.ndarray, np.ndarray, list[Path]]:
    """Images of 8 x 6 pixels in colour, their classes, and the files that hold them."""
    random = np.random.default_rng(0)
    X, y = random.integers(0, 256, (24, 8, 6, 3)).astype(np.uint8), np.arange(24) % 2
    paths = [tmp_path / f"image {place}.png" for place in range(24)]
    for path, image in zip(paths, X, strict=True):
        keras.utils.save_img(path, image, scale=False)
    return X, y, paths


CONTAINERS = {
    "list of paths": list,
    "list of strings": lambda paths: list(map(str, paths)),
    "array": lambda paths: np.array(list(map(str, paths))),
    "Arrow": lambda paths: pa.array(list(map(str, paths))),
    "Series": lambda paths: pd.Series(list(map(str, paths)), dtype="string"),
    "frame": lambda paths: pd.DataFrame({"path": list(map(str, paths))}),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_files_teach_what_their_images_do(container, images):
    X, y, paths = images
    files = CONTAINERS[container](paths)
    of_files = ConvNetClassifier(image_shape=(8, 6, 3), **SMALL).fit(files, y)
    of_arrays = ConvNetClassifier(**SMALL).fit(X.astype(np.float32), y)
    np.testing.assert_array_equal(of_files.predict_proba(files), of_arrays.predict_proba(X.astype(np.float32)))


def test_many_files_are_read_in_parts(images, monkeypatch):
    X, y, paths = images
    whole = ConvNetClassifier(image_shape=(8, 6, 3), shuffle=False, **SMALL).fit(paths, y)
    monkeypatch.setattr(image_files, "LARGE_BYTES", 0)
    in_parts = ConvNetClassifier(image_shape=(8, 6, 3), shuffle=False, **SMALL).fit(paths, y)
    np.testing.assert_allclose(in_parts.predict_proba(paths), whole.predict_proba(X), atol=1e-5)


def test_images_are_brought_to_one_size_and_may_be_grey(images):
    _, y, paths = images
    network = ConvNetClassifier(image_shape=(5, 5), **SMALL).fit(paths, y)
    assert network.X_shape_ == (24, 5, 5)
    wanted = [
        np.asarray(keras.utils.load_img(path, color_mode="grayscale", target_size=(5, 5), interpolation="bilinear"))
        for path in paths
    ]
    np.testing.assert_array_equal(network.predict_proba(paths), network.predict_proba(np.array(wanted, np.float32)))


def test_a_search_and_a_pipeline_take_paths(images):
    _, y, paths = images
    search = GridSearchCV(ConvNetClassifier(image_shape=(8, 6, 3), **SMALL), {"epochs": [1, 2]}, cv=2)
    assert search.fit(list(map(str, paths)), y).best_score_ >= 0
    folder = paths[0].parent
    in_folder = FunctionTransformer(lambda names: [str(folder / name) for name in names])
    pipeline = make_pipeline(in_folder, ConvNetClassifier(image_shape=(8, 6, 3), **SMALL))
    assert len(pipeline.fit([path.name for path in paths], y).predict([path.name for path in paths[:3]])) == 3


@pytest.mark.parametrize("is_large", [False, True])
def test_a_broken_file_is_named(is_large, images, monkeypatch):
    _, y, paths = images
    if is_large:
        monkeypatch.setattr(image_files, "LARGE_BYTES", 0)
    paths[3].write_bytes(paths[3].read_bytes()[:40])
    with pytest.raises(
        (ValueError, ReadError), match=r"Row 3 of X of ConvNetClassifier is no image that can be read: '.*image 3\.png'"
    ):
        ConvNetClassifier(image_shape=(8, 6, 3), **SMALL).fit(paths, y)
    paths[3].unlink()
    with pytest.raises((ValueError, ReadError), match=r"Row 3 of X .* No such file"):
        ConvNetClassifier(image_shape=(8, 6, 3), **SMALL).fit(paths, y)


def test_paths_need_a_shape(images):
    _, y, paths = images
    for shape in (None, (8, 6, 2)):
        with pytest.raises(ValueError, match=r"Give image_shape=\(height, width\)"):
            ConvNetClassifier(image_shape=shape, **SMALL).fit(paths, y)
