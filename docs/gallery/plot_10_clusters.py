"""
Can images be sorted without a label?
=====================================

``DeepEmbeddedClustering`` finds ten clusters of 1,000 images. Each is drawn with its most typical images, its size,
and how well its members fit.
"""

from skneural import ClusterDisplay, DeepEmbeddedClustering

from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
X, y = X[:1000], y[:1000]
clustering = DeepEmbeddedClustering(10, random_state=0).fit(X)
ClusterDisplay.from_estimator(clustering, X, image_shape=(8, 8))
