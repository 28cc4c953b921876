"""Images in files, as rows that are read when they are needed."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural import _engine

from .stores import LARGE_BYTES

_COLORS = {1: "grayscale", 3: "rgb", 4: "rgba"}


def paths_in(X: Any) -> list[str] | None:
    """Give the paths that X holds, one for each row: a list, an array, a Series or a frame of one column; else None."""
    values = np.asarray(X) if hasattr(X, "to_numpy") else X
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "OUT" or values.size != len(values):
            return None
        values = values.ravel().tolist()
    if not isinstance(values, list | tuple) or not values:
        return None
    return [os.fspath(one) for one in values] if all(isinstance(one, str | os.PathLike) for one in values) else None


def stored_images(owner: str, paths: list[str], image_shape: tuple[int, ...] | None) -> Any:
    """Give images of one shape, (n, height, width) or with channels behind, that are read in parts where they are many.

    Raises
    ------
    ValueError
        Without a shape, or for one whose channels no image has; when it is read, for a file that holds no image.
    """
    n_channels = (*(image_shape or ()), 1)[2] if image_shape else None
    if image_shape is None or n_channels not in _COLORS:
        raise ValueError(
            f"X of {owner} holds paths of images, which are brought to one size. Give image_shape=(height, width) for "
            f"grey images, or (height, width, 3) for those in colour. Got {image_shape!r}."
        )
    shape = image_shape

    def read(start: int, stop: int) -> NDArray[np.float32]:
        rows = range(start, stop)
        return np.stack([_image(owner, row, paths[row], shape) for row in rows]).reshape(len(rows), *shape)

    full_shape = (len(paths), *shape)
    if int(np.prod(full_shape)) * 4 <= LARGE_BYTES:
        return read(0, len(paths))
    return _engine.StoredRows.of(_engine.Source(read, full_shape, np.dtype(np.float32)))


def _image(owner: str, row: int, path: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read one image, its pixels from 0 to 255, interpolated to the height and width wanted."""
    color = _COLORS[(*shape, 1)[2]]
    try:
        image = keras.utils.load_img(path, color_mode=color, target_size=shape[:2], interpolation="bilinear")
        return np.asarray(keras.utils.img_to_array(image, data_format="channels_last"), np.float32)
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(
            f"Row {row} of X of {owner} is no image that can be read: {path!r} ({error}). Repair the file, or leave "
            "the row out."
        ) from error
