"""
When is it time to stop?
========================

On noisy labels a large network gets better on its own rows for ever, and worse on others after some epochs. With
``early_stopping=True`` the weights of the best epoch are kept.
"""

from skneural import DenseNetClassifier, TrainingCurveDisplay

from sklearn.datasets import make_classification

X, y = make_classification(1500, n_informative=5, flip_y=0.25, random_state=0)
network = DenseNetClassifier(
    (200, 100),
    l2=0.0,
    early_stopping=True,
    validation_fraction=0.3,
    n_iter_no_change=25,
    random_state=0,
).fit(X, y)
TrainingCurveDisplay.from_estimator(network)
print(f"best epoch: {network.best_epoch_}")
