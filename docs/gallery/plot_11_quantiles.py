"""
How far off may it be?
======================

``TabularNetRegressor`` learns quantiles: nine in ten of the rows shall lie between the outer ones. Where y scatters
more, the band is wider, and the quantiles never cross.
"""

from skneural import TabularNetRegressor

import matplotlib.pyplot as plt
import numpy as np

random = np.random.default_rng(0)
x = random.uniform(0, 10, 1000)
y = np.sin(x) + random.normal(0, 0.1 + 0.08 * x)
X = x[:, None]

band = TabularNetRegressor(
    loss="quantile", quantiles=[0.05, 0.5, 0.95], n_members=3, random_state=0
).fit(X, y)
grid = np.linspace(0, 10, 300)[:, None]
low, middle, high = band.predict(grid).T

figure, place = plt.subplots(figsize=(8, 4), layout="constrained")
place.scatter(x, y, s=4, color="gray", label="rows")
place.fill_between(grid.ravel(), low, high, alpha=0.3, label="from .05 to .95")
place.plot(grid, middle, label=".5")
place.set(xlabel="x", ylabel="y")
place.legend()
bounds = band.predict(X)
inside = np.mean((bounds[:, 0] <= y) & (y <= bounds[:, 2]))
place.set_title(f"{inside:.0%} of the rows lie in the band")
