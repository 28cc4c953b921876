"""
What comes next in a season that wanders?
=========================================

A recurrent network sees 48 steps of a series and forecasts the next 6. Beside it stand the season before, a linear
model and boosted trees that see the same steps. Each is judged on times behind those that it has learned from.
"""

from skneural import RecurrentNetRegressor

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.multioutput import MultiOutputRegressor

PAST, FUTURE, SEASON = 48, 6, 24

random = np.random.default_rng(0)
phase = np.cumsum(2 * np.pi / SEASON + random.normal(0, 0.04, 1200))
series = np.sin(phase) + random.normal(0, 0.1, 1200)
windows = np.lib.stride_tricks.sliding_window_view(series, PAST + FUTURE)
X, y = windows[:, :PAST], windows[:, PAST:]


class SeasonBefore(RegressorMixin, BaseEstimator):
    """Says what came a season earlier."""

    def fit(self, X, y):
        return self

    def predict(self, X):
        return X[:, PAST - SEASON : PAST - SEASON + FUTURE]


# %%
# No window of the rows to judge overlaps one of the rows to learn from: the gap is a window long.
forecasters = {
    "season before": SeasonBefore(),
    "Ridge": Ridge(),
    "boosted trees": MultiOutputRegressor(
        HistGradientBoostingRegressor(max_iter=30)
    ),
    "recurrent network": RecurrentNetRegressor(
        units=16, epochs=15, random_state=0
    ),
}
splits = TimeSeriesSplit(2, gap=PAST + FUTURE)
errors = {
    name: -cross_val_score(
        forecaster, X, y, cv=splits, scoring="neg_root_mean_squared_error"
    ).mean()
    for name, forecaster in forecasters.items()
}
for name, error in errors.items():
    print(f"{name}: {error:.3f}")

# %%
network = forecasters["recurrent network"].fit(X[:1000], y[:1000])
figure, (bars, example) = plt.subplots(
    1, 2, figsize=(11, 3.5), layout="constrained"
)
bars.barh(list(errors), list(errors.values()))
bars.set_xlabel("Root mean squared error, in units of the series")
example.plot(range(PAST), X[1100], color="black")
example.plot(
    range(PAST, PAST + FUTURE), y[1100], color="gray", label="what came"
)
example.plot(
    range(PAST, PAST + FUTURE),
    network.predict(X[[1100]])[0],
    color="C3",
    label="forecast",
)
example.set_xlabel("Step")
example.legend()
