"""
Weights or a threshold?
=======================

One row in twenty is positive. ``class_weight="balanced"`` finds more of them at the threshold of .5, and so does a
lower threshold without weights: both move along nearly the same curve of precision and recall.
"""

from skneural import DenseNetClassifier

import matplotlib.pyplot as plt
from sklearn.datasets import make_classification
from sklearn.metrics import (
    PrecisionRecallDisplay,
    precision_score,
    recall_score,
)
from sklearn.model_selection import train_test_split

X, y = make_classification(
    4000, n_informative=5, weights=[0.95], class_sep=0.8, random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, stratify=y, random_state=0
)

figure, place = plt.subplots(figsize=(6, 4.5), layout="constrained")
for weight, colour in ((None, "C0"), ("balanced", "C1")):
    network = DenseNetClassifier(
        (32,), class_weight=weight, epochs=30, random_state=0
    ).fit(X_train, y_train)
    PrecisionRecallDisplay.from_estimator(
        network,
        X_test,
        y_test,
        ax=place,
        name=f"class_weight={weight!r}",
        curve_kwargs={"color": colour},
    )
    predicted = network.predict(X_test)
    place.plot(
        recall_score(y_test, predicted),
        precision_score(y_test, predicted),
        "o",
        color=colour,
        markersize=10,
    )
place.set_title("Dots: the threshold of .5")
