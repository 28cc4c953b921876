"""
Which columns does a table need?
================================

A table of numbers and categories with holes. Each member of the ensemble has left rows out; permuting a column of
those tells how much the network needs it.
"""

from skneural import TabularNetClassifier

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

random = np.random.default_rng(0)
n = 800
members = pd.DataFrame(
    {
        "visits": random.gamma(2.0, 1.2, n).round(1),
        "plan": random.choice(["month", "year", None], n),
        "distance": random.exponential(4.0, n),
        "shoe size": random.normal(41, 2, n).round(),
    }
)
members.loc[random.random(n) < 0.1, "visits"] = np.nan
tendency = (
    2
    - members["visits"].fillna(2)
    + members["plan"].map({"month": 1.5, "year": -1.5}).fillna(0)
)
leaves = random.random(n) < 1 / (
    1 + np.exp(-tendency - 0.1 * members["distance"])
)

network = TabularNetClassifier(
    compute_importances=True, n_members=3, random_state=0
).fit(members, leaves)
figure, place = plt.subplots(figsize=(7, 2.8), layout="constrained")
pd.Series(
    network.feature_importances_, members.columns
).sort_values().plot.barh(ax=place)
place.set_xlabel("Accuracy that is lost when the column is permuted")
place.set_title(f"Accuracy on rows left out: {network.validation_score_:.2f}")
