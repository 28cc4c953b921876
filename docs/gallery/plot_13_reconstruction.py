"""
What is left of an image in eight numbers?
==========================================

64 pixels go through a code of eight numbers and come back. PCA does it with a linear map, the autoencoder with
layers, and never worse on the rows that it is judged on.
"""

from skneural import Autoencoder, ReconstructionDisplay

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

X, _ = load_digits(return_X_y=True)
X_train, X_test = train_test_split(X, random_state=0)
pca = PCA(8).fit(X_train)
autoencoder = Autoencoder(8, random_state=0).fit(X_train)
for method in (pca, autoencoder):
    error = (
        (method.inverse_transform(method.transform(X_test)) - X_test) ** 2
    ).mean()
    print(f"{type(method).__name__}: mean squared error {error:.1f}")

# %%
ReconstructionDisplay.from_estimator(
    autoencoder, X_test[:8], image_shape=(8, 8)
)
