"""
Which width, which rate?
========================

A grid of 12 candidates in 5 folds: 60 fits, side by side in one process inside ``parallel_fits``. The picture shows
the accuracy on the folds.
"""

import time

import skneural
from skneural import DenseNetClassifier

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_digits(return_X_y=True)
pipeline = Pipeline(
    [
        ("scale", StandardScaler()),
        ("network", DenseNetClassifier(epochs=20, random_state=0)),
    ]
)
grid = {
    "network__hidden_layer_sizes": [(10,), (30,), (100,)],
    "network__learning_rate": [1e-4, 1e-3, 1e-2, 1e-1],
}
started = time.perf_counter()
with skneural.parallel_fits():
    search = GridSearchCV(pipeline, grid, cv=5).fit(X, y)
print(f"61 fits in {time.perf_counter() - started:.1f} seconds")

# %%
table = pd.DataFrame(search.cv_results_).pivot(
    index="param_network__hidden_layer_sizes",
    columns="param_network__learning_rate",
    values="mean_test_score",
)
figure, place = plt.subplots(figsize=(6, 3.2), layout="constrained")
place.imshow(table, cmap="viridis", aspect="auto")
for row in range(table.shape[0]):
    for column in range(table.shape[1]):
        value = table.iloc[row, column]
        colour = "black" if value > table.to_numpy().mean() else "white"
        place.text(
            column, row, f"{value:.3f}", ha="center", va="center", color=colour
        )
place.set(
    xticks=range(table.shape[1]),
    xticklabels=table.columns,
    xlabel="learning_rate",
    yticks=range(table.shape[0]),
    yticklabels=map(str, table.index),
    ylabel="hidden_layer_sizes",
)
