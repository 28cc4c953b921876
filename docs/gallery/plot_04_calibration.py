"""
Is .8 right in eight of ten cases?
==================================

A network that is trained for long on few rows is surer than it should be. Early stopping helps, and so does scikit-
learn's ``CalibratedClassifierCV``.
"""

from skneural import DenseNetClassifier

import matplotlib.pyplot as plt
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

X, y = make_classification(4000, n_informative=4, flip_y=0.2, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.6, random_state=0
)

long = DenseNetClassifier((100,), l2=0.0, learning_rate=0.01, random_state=0)
ways = {
    "100 epochs": long,
    "early stopping": DenseNetClassifier(
        (100,), early_stopping=True, random_state=0
    ),
    "calibrated": CalibratedClassifierCV(long, cv=3),
}
figure, place = plt.subplots(figsize=(5.5, 5), layout="constrained")
for name, estimator in ways.items():
    estimator.fit(X_train, y_train)
    CalibrationDisplay.from_estimator(
        estimator,
        X_test,
        y_test,
        n_bins=8,
        strategy="quantile",
        ax=place,
        name=name,
    )
