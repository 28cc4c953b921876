"""
What comes next in a season that wanders?
=========================================

A recurrent network sees 48 steps of a series and forecasts the next 12. The last tenth of the series is for
judging.
"""

import matplotlib.pyplot as plt
import numpy as np

from skneural import RecurrentNetRegressor

random = np.random.default_rng(0)
phase = np.cumsum(2 * np.pi / 24 + random.normal(0, 0.04, 1200))
series = np.sin(phase) + random.normal(0, 0.1, 1200)
windows = np.lib.stride_tricks.sliding_window_view(series, 60)
train, test = windows[:1000], windows[1060:]

forecaster = RecurrentNetRegressor(units=16, epochs=15, random_state=0).fit(train[:, :48], train[:, 48:])
forecasts = forecaster.predict(test[:, :48])
print(f"R2 of forecasts: {forecaster.score(test[:, :48], test[:, 48:]):.2f}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 3), sharey=True, layout="constrained")
for place, row in zip(axes, (0, 30, 60), strict=True):
    place.plot(range(48), test[row, :48], color="black")
    place.plot(range(48, 60), test[row, 48:], color="gray", label="what came")
    place.plot(range(48, 60), forecasts[row], color="C3", label="forecast")
    place.set_xlabel("Step")
axes[0].legend()
