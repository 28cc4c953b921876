from __future__ import annotations

import re
import sys
from itertools import combinations
from typing import Any

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import (
    ConvNetClassifier,
    DenseNetClassifier,
    KerasClassifier,
    NetworkDisplay,
    RecurrentNetClassifier,
    RecurrentNetRegressor,
)

X, y = load_iris(return_X_y=True, as_frame=True)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[y]


def dense(n_features: int, *sizes: int, dropout: float = 0.0) -> keras.Sequential:
    model = keras.Sequential([keras.Input((n_features,))])
    for size in sizes[:-1]:
        model.add(layers.Dense(size, activation="relu"))
        if dropout:
            model.add(layers.BatchNormalization())
            model.add(layers.Dropout(dropout))
    model.add(layers.Dense(sizes[-1], activation="softmax"))
    return model


def convolutional() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((144,)),
            layers.Reshape((12, 12, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, padding="same"),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(100, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def recurrent() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((7,)),
            layers.Embedding(50, 8),
            layers.Bidirectional(layers.LSTM(16, return_sequences=True)),
            layers.GRU(4),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def residual() -> keras.Model:
    start = keras.Input((4,))
    first = layers.Dense(4, activation="relu")(start)
    second = layers.Dense(4, activation="relu")(first)
    return keras.Model(start, layers.Dense(2)(layers.Add()([first, second])))


def beside() -> keras.Model:
    sequences = np.random.default_rng(0).normal(size=(8, 9, 2))
    return (
        RecurrentNetRegressor((6, 4), filters=(5, 3), epochs=1, random_state=0).fit(sequences, sequences[:, -1]).model_
    )


TWELVE = (8, 7, 6, 8, 9, 12, 10, 6, 5, 4, 3, 2)
MODELS = {
    "one": lambda: dense(2, 1),
    "three": lambda: dense(4, 6, 5, 3, dropout=0.2),
    "twelve": lambda: dense(6, *TWELVE, dropout=0.2),
    "large": lambda: dense(64, 100, 1000, 10),
    "convolutional": convolutional,
    "recurrent": recurrent,
    "beside": beside,
    "residual": residual,
}


@pytest.fixture(params=MODELS, scope="module")
def model(request: Any) -> keras.Model:
    return MODELS[request.param]()


def whole(message: str) -> str:
    return f"^{re.escape(message)}$"


def labels(display: NetworkDisplay) -> list[str]:
    """Name and description of each layer, on one line."""
    texts = [text.get_text() for text in display.labels_]
    return [" | ".join(pair).replace("\n", " ") for pair in zip(texts[::2], texts[1::2], strict=True)]


def drawn_texts(axes: Any) -> list[Text]:
    return [text for text in axes.texts if text.get_text()]


def test_small_dense_layers_are_nodes_with_a_line_per_weight() -> None:
    display = NetworkDisplay.from_model(dense(4, 6, 3))

    assert {position: len(nodes.get_offsets()) for position, nodes in display.nodes_.items()} == {0: 4, 1: 6, 2: 3}
    assert {position: len(edges.get_segments()) for position, edges in display.edges_.items()} == {1: 24, 2: 18}
    assert display.blocks_ == {}


def test_edges_show_sign_and_size_of_weights_between_the_right_nodes() -> None:
    model = dense(2, 3)
    kernel = np.array([[1.0, -2.0, 0.5], [-0.5, 4.0, 0.0]])
    model.set_weights([kernel, np.zeros(3)])
    display = NetworkDisplay.from_model(model)
    edges = display.edges_[1]

    colors = {tuple(color[:3]) for color in edges.get_colors()[kernel.ravel() < 0]}
    assert len(colors) == 1
    assert colors.isdisjoint(tuple(color[:3]) for color in edges.get_colors()[kernel.ravel() >= 0])
    legend = {text.get_text(): to_rgb(text.get_color()) for text in display.ax_.texts}
    assert colors == {legend["— negative weight"]}
    by_size = np.argsort(np.abs(kernel.ravel()), kind="stable")
    for shown in (edges.get_linewidths(), edges.get_colors()[:, 3]):
        assert np.all(np.diff(np.asarray(shown)[by_size]) >= 0)
        assert np.argmax(shown) == 4
    starts, ends = display.nodes_[0].get_offsets(), display.nodes_[1].get_offsets()
    expected = [[start, end] for start in starts for end in ends]
    np.testing.assert_allclose(edges.get_segments(), expected)


def test_weights_that_are_all_zero_are_drawn() -> None:
    model = dense(2, 3)
    model.set_weights([np.zeros((2, 3)), np.zeros(3)])

    assert len(NetworkDisplay.from_model(model).edges_[1].get_segments()) == 6


def test_large_layers_are_blocks_the_larger_the_more_units() -> None:
    display = NetworkDisplay.from_model(dense(64, 100, 1000, 10), orientation="horizontal")

    assert list(display.blocks_) == [0, 1, 2]
    heights = [np.ptp(faces[0].get_xy()[:, 1]) for faces in display.blocks_.values()]
    assert heights == sorted(heights)
    assert list(display.nodes_) == [3]
    assert display.edges_ == {}
    assert list(display.plot(max_nodes=100).nodes_) == [0, 1, 3]


def test_layers_without_nodes_are_noted_at_the_layer_before() -> None:
    assert labels(NetworkDisplay.from_model(convolutional())) == [
        "Input | 12 × 12 × 1 from 144 features, rescaled",
        "Conv2D 3×3 | 12 × 12 × 8 ReLU, batch norm 112 params",
        "MaxPooling2D 2×2 | 6 × 6 × 8 flattened, dropout 0.25",
        "Dense | 100 units ReLU 28,900 params",
        "Output: Dense | 10 units softmax 1,010 params",
    ]


def test_recurrent_layers_tell_steps_and_units() -> None:
    assert labels(NetworkDisplay.from_model(recurrent(), orientation="horizontal")) == [
        "Input | 7 features",
        "Embedding | 7 × 8 400 params",
        "Bidirectional LSTM | 7 × 32 tanh 3,200 params",
        "GRU | 4 units tanh 456 params",
        "Output: Dense | 1 unit sigmoid 5 params",
    ]


def test_branches_of_a_recurrent_network_are_drawn_side_by_side() -> None:
    display = NetworkDisplay.from_model(beside(), orientation="horizontal")

    assert labels(display) == [
        "Input | ? × 2 standardised 4 params",
        "GRU | ? × 6 tanh 180 params",
        "GRU | 4 units tanh 144 params",
        "Conv1D 8 | ? × 5 ReLU, batch norm 105 params",
        "Conv1D 5 | ? × 3 ReLU, batch norm 90 params",
        "Average over time | 3 units",
        "Concatenate | 7 units",
        "Output: Dense | 2 units linear 16 params",
    ]
    assert [layer.sources for layer in display.layers] == [(), (0,), (1,), (0,), (3,), (4,), (2, 5), (6,)]


def test_each_family_is_drawn_from_its_estimator() -> None:
    images = np.random.default_rng(0).random((12, 6, 6))
    classes = np.repeat(["o", "x", "z"], 4)
    reader = ConvNetClassifier(filters=(4,), epochs=1, random_state=0).fit(images, classes)
    follower = RecurrentNetClassifier(4, filters=(), epochs=1, random_state=0).fit(images, classes)

    for estimator, notes, second in (
        (reader, ("from 6 × 6", "standardised", "augmented"), "Conv2D 3×3"),
        (follower, ("standardised",), "GRU"),
    ):
        display = NetworkDisplay.from_estimator(estimator)
        assert display.layers[0].notes == notes
        assert display.layers[1].name == second
        assert [text.get_text() for text in display.class_labels_] == ["o", "x", "z"]


def test_a_users_layer_with_branches_of_its_own_is_one_block() -> None:
    class Tree(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.branches = [2, 3]

        def call(self, inputs: Any) -> Any:
            return inputs * 2.0

    display = NetworkDisplay.from_model(keras.Sequential([keras.Input((4,)), Tree(), layers.Dense(2)]))

    assert [layer.name for layer in display.layers] == ["Input", "Tree", "Dense"]


def test_size_of_boxes_follows_the_shape() -> None:
    display = NetworkDisplay.from_model(convolutional())
    image, convolution, pooled = (display.blocks_[position] for position in (0, 1, 2))
    (front_image, *_), (front_convolution, *_), (front_pooled, *_) = image, convolution, pooled

    sizes = [np.ptp(front.get_xy(), axis=0) for front in (front_image, front_convolution, front_pooled)]
    assert sizes[0][1] == pytest.approx(sizes[1][1])
    assert sizes[2][1] == pytest.approx(sizes[1][1] / np.sqrt(2))
    assert sizes[0][0] < sizes[1][0] == pytest.approx(sizes[2][0])


def test_parameters_add_up(model: keras.Model) -> None:
    display = NetworkDisplay.from_model(model, name="Net")

    assert display.title_.get_text() == f"Net: {model.count_params():,} parameters"
    counts = re.findall(r"([\d,]+) params?$", "\n".join(labels(display)), re.M)
    assert sum(int(count.replace(",", "")) for count in counts) == model.count_params()


@pytest.mark.parametrize("size", [None, (6.4, 4.8), (3, 3), (12, 2.5)])
@pytest.mark.parametrize("orientation", ["auto", "horizontal", "vertical"])
def test_no_text_overlaps_and_nothing_is_cut_off(model: keras.Model, size: Any, orientation: str) -> None:
    axes = None if size is None else Figure(figsize=size).subplots()
    display = NetworkDisplay.from_model(model, ax=axes, orientation=orientation)
    display.figure_.canvas.draw()

    frame = display.ax_.get_window_extent()
    texts = [(text, text.get_window_extent()) for text in drawn_texts(display.ax_)]
    assert len(texts) > 2
    for (first, box), (second, other) in combinations(texts, 2):
        assert not box.overlaps(other), (first.get_text(), second.get_text())
    for artist in [*display.ax_.texts, *display.ax_.patches]:
        box = artist.get_window_extent()
        # A pixel's share is lost to rounding.
        assert frame.x0 - 1 <= box.x0 <= box.x1 <= frame.x1 + 1, artist
        assert frame.y0 - 1 <= box.y0 <= box.y1 <= frame.y1 + 1, artist
    for nodes in display.nodes_.values():
        centres = display.ax_.transData.transform(nodes.get_offsets())
        radius = np.sqrt(nodes.get_sizes()[0]) / 2 * display.figure_.dpi / 72
        assert np.all((frame.min <= centres - radius) & (centres + radius <= frame.max))
        for text, box in texts:
            assert not any(box.contains(*centre) for centre in centres), text.get_text()
    for edges in display.edges_.values():
        ends = display.ax_.transData.transform(np.concatenate(edges.get_segments()))
        assert np.all((frame.min <= ends) & (ends <= frame.max))


def test_connection_past_a_layer_is_an_arc() -> None:
    display = NetworkDisplay.from_model(residual())

    assert [type(patch).__name__ for patch in display.ax_.patches].count("FancyArrowPatch") == 1
    assert labels(display)[3] == "Add | 4 units"


def test_layers_of_nested_models_are_drawn() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dropout(0.5)])
    model = keras.Sequential([keras.Input((4,)), inner, layers.Dense(2)])

    assert [label.partition(" params")[0] for label in labels(NetworkDisplay.from_model(model))[1:]] == [
        "Dense | 3 units ReLU, dropout 0.5 15",
        "Output: Dense | 2 units linear 8",
    ]


def test_names_of_features_and_classes_come_from_the_estimator() -> None:
    classifier = make_pipeline(StandardScaler(), DenseNetClassifier((5,), epochs=1, random_state=0)).fit(X, SPECIES)
    display = NetworkDisplay.from_estimator(classifier)

    shown = [text.get_text() for text in display.feature_labels_]
    assert shown == [name if len(name) <= 18 else name[:17] + "…" for name in X.columns]
    assert [text.get_text() for text in display.class_labels_] == ["setosa", "versicolor", "virginica"]
    assert display.title_.get_text() == "DenseNetClassifier: 43 parameters"
    heights = display.nodes_[0].get_offsets()[:, 1]
    np.testing.assert_allclose([text.get_position()[1] for text in display.feature_labels_], heights)
    np.testing.assert_allclose(display.layers[1].weights, classifier[-1].model_.get_weights()[0])


def test_one_output_for_two_classes_is_named_after_the_second() -> None:
    is_binary = y < 2
    classifier = DenseNetClassifier((3,), epochs=1, random_state=0).fit(X[is_binary], SPECIES[is_binary])

    assert [text.get_text() for text in NetworkDisplay.from_estimator(classifier).class_labels_] == ["versicolor"]


def test_model_of_the_users_own_is_drawn() -> None:
    def build() -> keras.Model:
        start = keras.Input((4,))
        return keras.Model(start, layers.Dense(3, activation="softmax")(layers.Dense(5, activation="tanh")(start)))

    own = KerasClassifier(build, loss="sparse_categorical_crossentropy", epochs=1).fit(X.to_numpy(), SPECIES)

    display = NetworkDisplay.from_estimator(own)
    assert labels(display)[1:] == ["Dense | 5 units tanh 25 params", "Output: Dense | 3 units softmax 18 params"]


def test_given_axes_are_used_without_pyplot(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Figure()
    axes = figure.subplots()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    display = NetworkDisplay.from_model(dense(2, 3), ax=axes)

    assert display.ax_ is axes
    assert display.figure_ is figure
    assert display.plot(axes) is display


def test_deep_network_is_drawn_downwards_where_the_axes_are_narrow() -> None:
    model = dense(6, *TWELVE)
    narrow = NetworkDisplay.from_model(model, ax=Figure(figsize=(5, 8)).subplots())
    wide = NetworkDisplay.from_model(model, ax=Figure(figsize=(20, 4)).subplots())

    assert np.ptp(narrow.nodes_[1].get_offsets()[:, 1]) == 0
    assert np.ptp(wide.nodes_[1].get_offsets()[:, 0]) == 0


@pytest.mark.parametrize(
    "estimator",
    [DenseNetClassifier(), make_pipeline(StandardScaler(), DenseNetClassifier())],
    ids=["alone", "pipeline"],
)
def test_unfitted_estimator_is_an_error(estimator: Any) -> None:
    message = (
        "This DenseNetClassifier instance is not fitted yet. Call 'fit' with appropriate arguments before using "
        "NetworkDisplay.from_estimator."
    )
    with pytest.raises(NotFittedError, match=whole(message)):
        NetworkDisplay.from_estimator(estimator)


def test_what_is_no_network_is_an_error() -> None:
    message = (
        "NetworkDisplay.from_estimator needs an estimator that has its Keras network in 'model_', a Pipeline that ends "
        "in one, or a search over one with refit=True. Got LogisticRegression, which has no 'model_'. Of any other "
        "meta-estimator, pass the fitted network inside it."
    )
    with pytest.raises(TypeError, match=whole(message)):
        NetworkDisplay.from_estimator(LogisticRegression(max_iter=1000).fit(X, y))
    message = (
        "NetworkDisplay.from_estimator needs an estimator. Got a keras.Model: use NetworkDisplay.from_model instead."
    )
    with pytest.raises(TypeError, match=whole(message)):
        NetworkDisplay.from_estimator(dense(2, 3))
    with pytest.raises(TypeError, match=r"^NetworkDisplay\.from_model needs a keras\.Model\. Got list instead\.$"):
        NetworkDisplay.from_model([1])


def test_model_with_several_inputs_is_an_error() -> None:
    starts = [keras.Input((2,)), keras.Input((3,))]
    model = keras.Model(starts, layers.Dense(1)(layers.Concatenate()(starts)))
    message = "NetworkDisplay.from_model draws models with one input. Got one with 2 inputs."
    with pytest.raises(ValueError, match=whole(message)):
        NetworkDisplay.from_model(model)


def test_model_without_known_order_of_layers_is_an_error() -> None:
    class Own(keras.Model):
        pass

    with pytest.raises(TypeError, match=r"Got Own, a subclass of keras\.Model that does not tell how its layers"):
        NetworkDisplay.from_model(Own())
    with pytest.raises(ValueError, match="needs a model that is built"):
        NetworkDisplay.from_model(keras.Sequential([layers.Dense(3)]))


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"orientation": "up"}, ValueError, "must be 'auto', 'horizontal' or 'vertical'. Got 'up' instead."),
        ({"max_nodes": -1}, ValueError, "must be an int in the range [0, inf). Got -1 instead."),
        ({"ax": [1]}, TypeError, "must be a matplotlib Axes. Got list instead."),
        ({"class_names": ["a"]}, ValueError, "must have one name for each of the 3 units. Got 1 instead."),
    ],
)
def test_bad_parameter_is_an_error_and_leaves_no_figure(kwargs: Any, error: Any, message: str) -> None:
    (parameter,) = kwargs
    with pytest.raises(error, match=whole(f"The '{parameter}' parameter of NetworkDisplay {message}")):
        NetworkDisplay.from_model(dense(2, 3), **kwargs)
    assert plt.get_fignums() == []
