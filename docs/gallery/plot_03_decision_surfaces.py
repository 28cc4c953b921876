"""
What do more nodes buy?
=======================

Two moons that reach into each other. One hidden node draws one line. A few more bend it; a hundred follow every
curve.
"""

from skneural import DenseNetClassifier

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons
from sklearn.inspection import DecisionBoundaryDisplay

X, y = make_moons(300, noise=0.2, random_state=0)
figure, axes = plt.subplots(
    1, 4, figsize=(12, 3.2), layout="constrained", sharey=True
)
for place, sizes in zip(axes, [(1,), (3,), (10,), (100, 100)], strict=True):
    network = DenseNetClassifier(
        sizes, learning_rate=0.01, epochs=200, l2=0.0, random_state=0
    ).fit(X, y)
    DecisionBoundaryDisplay.from_estimator(
        network,
        X,
        ax=place,
        response_method="predict_proba",
        cmap="RdBu",
        alpha=0.7,
        grid_resolution=60,
    )
    place.scatter(
        *X.T, c=y, cmap="RdBu", edgecolors="black", s=15, linewidths=0.5
    )
    place.set_title(f"{sizes}: {network.score(X, y):.0%} of these rows")
