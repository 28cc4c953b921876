"""
Do ten digits find ten places?
==============================

``NeighborEmbedding`` has seen no label. It places images of 64 pixels in two dimensions so that neighbours stay
neighbours; the colours, which are the labels, come afterwards. A quarter of the images were not in its training.
"""

from skneural import EmbeddingDisplay, NeighborEmbedding

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, stratify=y, random_state=0
)

embedding = NeighborEmbedding(random_state=0).fit(X_train)
EmbeddingDisplay.from_estimator(embedding, X_test, y_test)
