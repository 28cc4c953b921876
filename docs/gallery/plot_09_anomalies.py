"""
Which digit is not like the others?
===================================

An autoencoder that has only seen zeros brings zeros back well, and other digits badly. ``score_samples`` tells how
well.
"""

from skneural import Autoencoder

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, stratify=y, random_state=0
)
of_zeros = Autoencoder(8, random_state=0).fit(X_train[y_train == 0])
scores = of_zeros.score_samples(X_test)

figure, place = plt.subplots(figsize=(8, 3.5), layout="constrained")
place.boxplot(
    [scores[y_test == digit] for digit in range(10)], tick_labels=range(10)
)
place.set(
    xlabel="Digit, 0 is the one that was learned",
    ylabel="score_samples: higher is more alike",
)
