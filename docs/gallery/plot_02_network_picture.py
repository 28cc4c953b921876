"""
What is between the input and the output?
=========================================

Four measurements of a flower go in, three species come out. Between them stand hidden layers. In a small network
each line is a weight: the thicker, the larger.
"""

from skneural import DenseNetClassifier, NetworkDisplay

from sklearn.datasets import load_iris
from sklearn.preprocessing import StandardScaler

flowers = load_iris(as_frame=True)
X = StandardScaler().set_output(transform="pandas").fit_transform(flowers.data)
species = flowers.target_names[flowers.target]

network = DenseNetClassifier((8, 6), learning_rate=0.01, random_state=0).fit(
    X, species
)
NetworkDisplay.from_estimator(network)

# %%
# In a notebook the estimator shows its parameters, and links to its page:
network
