"""Fits under TensorFlow's strategies, in processes of their own: two devices of one, and two workers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent / "strategies_of_tensorflow.py"
pytestmark = pytest.mark.slow


def started(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told_by(process):
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(out.splitlines()[-1])


def workers(*arguments):
    """Start two workers, on ports that are free."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = ",".join(str(one.getsockname()[1]) for one in sockets)
    for one in sockets:
        one.close()
    return [started("worker", index, ports, *arguments) for index in range(2)]


def test_two_devices_train_as_keras_does_there_and_as_one_does():
    told = told_by(started("mirrored"))
    assert told["engine"] == "keras"
    assert told["from Keras"] < 1e-5
    assert told["from alone"] < 1e-5
    assert told["predictions"] == 0
    assert told["history"] == ["accuracy", "loss", "val_accuracy", "val_loss"]
    # Outside of the scope the native engine trains again.
    assert told["later"] == "native"


def test_two_workers_have_the_weights_of_one_process():
    one, other = map(told_by, workers())
    assert one["engine"] == other["engine"] == "keras"
    assert one["weights"] == other["weights"]
    assert one["from alone"] < 1e-5
    np.testing.assert_allclose(*one["losses"], rtol=1e-4)


def test_a_worker_that_is_killed_ends_the_others_with_an_error():
    survivor, killed = workers("killed")
    told = told_by(survivor)
    assert killed.wait(timeout=60) == 9
    killed.communicate()
    assert told["error"].startswith("Another worker of the MultiWorkerMirroredStrategy has ended or cannot be reached")
