"""Fits under TensorFlow's strategies, in processes of their own: two devices of one, and two workers."""

from __future__ import annotations

import json
import signal
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


def workers(*arguments, of_other=None):
    """Start two workers, on ports that are free."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = ",".join(str(one.getsockname()[1]) for one in sockets)
    for one in sockets:
        one.close()
    both = arguments, arguments if of_other is None else of_other
    return [started("worker", index, ports, *given) for index, given in enumerate(both)]


def test_two_devices_train_as_keras_does_there_and_as_one_does():
    told = told_by(started("mirrored"))
    assert told["engine"] == "keras"
    assert told["from Keras"] < 1e-5
    assert told["from alone"] < 1e-5
    assert told["predictions"] == 0
    assert told["from going on"] == 0
    assert told["history"] == ["accuracy", "loss", "val_accuracy", "val_loss"]
    # Outside of the scope the native engine trains again.
    assert told["later"] == "native"


def test_two_workers_have_the_weights_of_one_process():
    one, other = map(told_by, workers())
    assert one["engine"] == other["engine"] == "keras"
    assert one["weights"] == other["weights"]
    assert one["from alone"] < 1e-5
    np.testing.assert_allclose(*one["losses"], rtol=1e-4)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder of a training by two workers that nobody stopped, and what they tell."""
    folder = tmp_path_factory.mktemp("kept")
    return folder, list(map(told_by, workers(f"folder={folder}")))


def test_a_worker_that_is_killed_ends_the_others_with_an_error_and_all_go_on_when_started_anew(kept, tmp_path):
    survivor, killed = workers(f"folder={tmp_path}", "killed_in=4")
    told = told_by(survivor)
    assert killed.wait(timeout=60) == -signal.SIGKILL
    killed.communicate()
    assert told["error"] == (
        "Another worker of the MultiWorkerMirroredStrategy has ended or cannot be reached, so that training cannot go "
        "on. Start all workers anew: with the parameter 'checkpoint' they go on from the last epoch that was kept, "
        "without it they begin again."
    )
    # The moving averages of BatchNormalization among them.
    assert kept[1][0]["weights"] == kept[1][1]["weights"]
    for again, whole in zip(map(told_by, workers(f"folder={tmp_path}")), kept[1], strict=True):
        assert again["begun"][0] in (3, 4)  # the first worker may not have come to write the last one
        assert whole["begun"] == list(range(6))
        assert again["weights"] == whole["weights"]


def test_workers_that_do_not_share_the_folder_are_told_so(kept, tmp_path):
    first, other = workers(f"folder={kept[0]}", of_other=[f"folder={tmp_path}"])
    for told in (told_by(first), told_by(other)):
        assert "find trainings of [6, 0] epochs in their folders of the parameter 'checkpoint'" in told["error"]
    assert not list(tmp_path.iterdir())
