"""
When has a recurrent network seen enough?
=========================================

Signals of unequal length that begin alike: all of them rise, then some fall back, some stay up and some swing. The
network is asked after each step what it takes the signal for.
"""

from skneural import RecurrentNetClassifier

import matplotlib.pyplot as plt
import numpy as np

KINDS = ("falls back", "stays up", "swings")
random = np.random.default_rng(0)


def make_signal(kind):
    steps = np.arange(random.integers(40, 61))
    later = np.clip(steps - random.uniform(16, 24), 0, None)
    signal = 1 / (1 + np.exp(random.uniform(4, 8) - steps))
    if kind == "falls back":
        signal -= 1 - np.exp(-later / 6)
    elif kind == "swings":
        signal += 0.5 * np.sin(later / 1.5)
    return signal + random.normal(0, 0.15, len(steps))


y = random.choice(KINDS, 300)
X = [make_signal(kind) for kind in y]
network = RecurrentNetClassifier(
    units=16,
    filters=(),
    dropout=0.0,
    learning_rate=1e-2,
    epochs=30,
    random_state=0,
)
network.fit(X[:250], y[:250])
print(f"{network.score(X[250:], y[250:]):.0%} of 50 other signals named right")

# %%
figure, axes = plt.subplots(
    2, 3, figsize=(11, 4.5), sharex="col", sharey="row", layout="constrained"
)
for (above, below), kind in zip(axes.T, KINDS, strict=True):
    signal = X[250 + int(np.argmax(y[250:] == kind))]
    so_far = network.predict_proba(
        [signal[:n_steps] for n_steps in range(1, len(signal) + 1)]
    )
    above.plot(signal, color="black", linewidth=1)
    above.set_title(f"A signal that {kind}")
    below.stackplot(
        np.arange(len(signal)), so_far.T, labels=network.classes_, alpha=0.8
    )
    below.set(xlabel="Time step", ylim=(0, 1), xlim=(0, len(signal) - 1))
axes[0, 0].set_ylabel("Signal")
axes[1, 0].set_ylabel("Probability so far")
figure.legend(
    *axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3
)
