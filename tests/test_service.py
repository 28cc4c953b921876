"""The service of the guide, as a process of its own: what it answers to many at once is what its estimator says."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

from skneural import DenseNetClassifier

ROOT = Path(__file__).parents[1]
X, Y = load_iris(return_X_y=True)
LIMIT = 300  # seconds; nothing waits so long


@pytest.fixture(scope="module")
def classifier():
    return DenseNetClassifier((8,), epochs=3, batch_normalization=True, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def port(classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("service") / "model.skn"
    classifier.save(path)
    command = [sys.executable, ROOT / "examples" / "serve.py", path, "--port", "0"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said = process.stdout.readline()
            assert said.startswith(f"Serving {path} at http://127.0.0.1:")
            yield int(said.rpartition(":")[2])
        finally:
            process.kill()


def answers(port, requests):
    """Statuses and answers to some requests over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    found = []
    for body in requests:
        connection.request("POST", "/", body)
        reply = connection.getresponse()
        found.append((reply.status, json.loads(reply.read())))
    connection.close()
    return found


@pytest.mark.slow
def test_eight_clients_at_once_get_what_one_call_says(port, classifier):
    expected = classifier.predict_proba(X)

    def client(number):
        rng = np.random.default_rng(number)
        asked = [rng.permutation(len(X))[:size] for size in rng.integers(1, 40, 20)]
        found = answers(port, [json.dumps(X[rows].tolist()) for rows in asked])
        assert {status for status, _ in found} == {200}
        return max(np.abs(answer - expected[rows]).max() for (_, answer), rows in zip(found, asked, strict=True))

    with ThreadPoolExecutor(8) as clients:
        differences = list(clients.map(client, range(8)))
    assert len(differences) == 8
    assert max(differences) < 1e-6


@pytest.mark.slow
def test_who_asks_for_what_cannot_be_is_told_so_and_the_service_goes_on(port, classifier):
    said = answers(port, ["no JSON", json.dumps([[1.0, 2.0]]), json.dumps(X[:1].tolist())])
    assert [status for status, _ in said] == [400, 400, 200]
    assert "X has 2 features, but DenseNetClassifier is expecting 4 features" in said[1][1]["error"]
    np.testing.assert_allclose(said[2][1], classifier.predict_proba(X[:1]), rtol=1e-6)
