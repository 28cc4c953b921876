"""
Would more rows help?
=====================

The accuracy on folds as the training rows grow, with the 25 fits side by side in one process. The curve still rises
at its end: more rows would help.
"""

import skneural
from skneural import DenseNetClassifier

from sklearn.datasets import load_digits
from sklearn.model_selection import LearningCurveDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X, y = load_digits(return_X_y=True)
network = make_pipeline(
    StandardScaler(), DenseNetClassifier((100,), epochs=30, random_state=0)
)
with skneural.parallel_fits():
    LearningCurveDisplay.from_estimator(
        network,
        X,
        y,
        train_sizes=[0.05, 0.1, 0.2, 0.5, 1.0],
        cv=5,
        score_type="both",
        score_name="Accuracy",
    )
