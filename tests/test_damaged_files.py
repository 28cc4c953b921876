"""Contract: a file is written whole or not at all, and one that is damaged or made by somebody else runs nothing."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import skneural
from skneural import DenseNetClassifier, KerasClassifier
from skneural._stored import file as stored_file
from skneural._stored.atomic import write_whole

X = np.random.default_rng(0).normal(size=(30, 2))
Y = X[:, 0] > 0


@pytest.fixture(scope="module")
def network():
    return DenseNetClassifier((2,), epochs=1, random_state=0).fit(X, Y)


@pytest.fixture
def path(network, tmp_path):
    network.save(tmp_path / "model.skn")
    return tmp_path / "model.skn"


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write(path, members, compression=zipfile.ZIP_STORED):
    """Write a file whose checksum is right, whatever its members say."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, compression)
        archive.comment = b"0" * 64
    said = buffer.getvalue()[:-64]
    path.write_bytes(said + hashlib.sha256(said).hexdigest().encode())


def with_honest_manifest(members, **changed):
    """Give the members, those changed that are named, and a manifest that says so."""
    members = dict(members) | changed
    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {
        name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in members.items() if name != "manifest.json"
    }
    return list((members | {"manifest.json": json.dumps(manifest).encode()}).items())


def test_a_changed_byte_is_noticed_wherever_it_is(path):
    data = path.read_bytes()
    rng = random.Random(0)
    places = {*range(60), *range(len(data) - 200, len(data)), *rng.sample(range(len(data)), 300)}
    for place in places:
        path.write_bytes(data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :])
        with pytest.raises(ValueError, match=r"model\.skn' cannot be loaded"):
            skneural.load(path)


def test_a_file_that_was_cut_off_is_noticed(path):
    data = path.read_bytes()
    for n_bytes in (0, 1, 63, 64, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:n_bytes])
        with pytest.raises(ValueError, match="cannot be loaded"):
            skneural.load(path)
    path.write_bytes(data + b"0")
    with pytest.raises(ValueError, match="cannot be loaded"):
        skneural.load(path)


def test_a_file_says_what_it_is_and_what_it_was_written_with(path):
    manifest = json.loads(members_of(path)["manifest.json"])
    assert manifest["class"] == "DenseNetClassifier"
    assert manifest["format"] == 1
    assert manifest["versions"]["skneural"] == skneural.__version__
    assert manifest["versions"]["keras"] == keras.__version__


def test_a_later_format_is_refused_with_the_versions_that_wrote_it(path):
    members = members_of(path)
    manifest = json.loads(members["manifest.json"]) | {"format": 99}
    write(path, (members | {"manifest.json": json.dumps(manifest).encode()}).items())
    with pytest.raises(ValueError, match=r"format 99 and was written with .*'skneural': .*Load it with that version"):
        skneural.load(path)


@pytest.mark.parametrize("name", ["/etc/passwd", "../model", "arrays/99.npy", "estimator.json", "manifest.json"])
def test_members_that_are_not_stated_are_refused(path, name):
    with pytest.warns() if name in ("estimator.json", "manifest.json") else _nothing():
        write(path, [*members_of(path).items(), (name, b"{}")])
    with pytest.raises(ValueError, match="has other members than it says"):
        skneural.load(path)


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *raised):
        return None


def test_what_expands_is_refused(path):
    write(path, members_of(path).items(), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"'manifest\.json' is compressed or encrypted"):
        skneural.load(path)


def test_an_array_that_says_that_it_is_larger_than_its_data_takes_no_memory(path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
    write(path, with_honest_manifest(members_of(path), **{"arrays/0.npy": header.getvalue()}))
    with pytest.raises(ValueError, match="arrays is not of the size that it says"):
        skneural.load(path)


def test_pickles_within_arrays_are_refused(path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Exception("code")], dtype=object), allow_pickle=True)
    write(path, with_honest_manifest(members_of(path), **{"arrays/0.npy": buffer.getvalue()}))
    with pytest.raises(ValueError, match="arrays is not of the size that it says"):
        skneural.load(path)


HOSTILE = [
    {"own": "os.system"},
    {"own": "load"},
    {"keras": "utils.get_file"},
    {"keras": "saving.load_model"},
    {"type": "eval"},
    {"type": "numpy.load"},
    {"object": [{"type": "int"}, {}]},
    {"object": [{"keras": "layers.Lambda"}, {}]},
    {"object": [{"own": "Seeds"}, {"split": 1, "weights": 2, "order": 3, "__class__": 4}]},
    {"part": [{"keras": "Model"}, {"dict": []}]},
    {"partial": [{"keras": "ops.exp"}, [1]]},
    {"moment": ["eval", "1"]},
    {"generator": [0, False, {"dict": [["bit_generator", "BitGenerator"]]}]},
    {"dtype": "O,O"},
    {"sparse": ["csr_array", [1, 1], [0, 0, 0]]},
    {"given": 0},
    {"array": -1},
    {"unheard": 1},
    {"two": 1, "names": 2},
]


@pytest.mark.parametrize("node", HOSTILE, ids=str)
def test_what_skneural_does_not_write_it_does_not_read(path, node):
    write(path, with_honest_manifest(members_of(path), **{"estimator.json": json.dumps(node).encode()}))
    with pytest.raises(ValueError, match=r"model\.skn' cannot be loaded"):
        skneural.load(path)


def build(meta):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax", name="last")])


def test_a_network_s_config_imports_no_module_and_runs_no_code(tmp_path):
    path = tmp_path / "model.skn"
    KerasClassifier(build, loss="sparse_categorical_crossentropy", epochs=1).fit(X, Y).save(path)
    document = members_of(path)["estimator.json"].decode()
    stolen = document.replace(r"\"module\": \"keras.layers\", \"class_name\": \"Dense\"", "CUT")
    assert "CUT" in stolen
    code = r"\"module\": \"keras.layers\", \"class_name\": \"__lambda__\""
    module = r"\"module\": \"this_module_prints\", \"registered_name\": \"x\", \"class_name\": \"x\""
    for hostile, said in ((code, "lambda"), (module, "neither Keras's nor was given")):
        changed = {"estimator.json": stolen.replace("CUT", hostile, 1).encode()}
        write(path, with_honest_manifest(members_of(path), **changed))
        with pytest.raises(ValueError, match=said):
            skneural.load(path, {"build": build}).model_  # noqa: B018


def test_a_failure_at_any_write_leaves_the_old_file(network, path, monkeypatch):
    before = path.read_bytes()
    other = DenseNetClassifier((3,), epochs=1, random_state=1).fit(X, Y)
    n_failed = 0
    for limit in range(0, len(before), 997):

        class Full(io.FileIO):
            def write(self, data, limit=limit):
                if self.tell() + len(data) > limit:
                    raise OSError(28, "No space left on device")
                return super().write(data)

        monkeypatch.setattr("builtins.open", lambda file, mode: Full(file, mode))
        with pytest.raises(OSError, match="No space left"):
            other.save(path)
        monkeypatch.undo()
        n_failed += 1
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]
    assert n_failed > 5
    other.save(path)
    assert_array_equal(skneural.load(path).predict_proba(X), other.predict_proba(X))


@pytest.mark.skipif(os.name != "posix", reason="kills as there are on POSIX")
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "file"
    size = 300_000
    program = (
        "import sys, itertools\n"
        "from skneural._stored.atomic import write_whole\n"
        "print('begun', flush=True)\n"
        "for number in itertools.count():\n"
        "    part = bytes([number % 256]) * 1000\n"
        f"    write_whole(sys.argv[1], lambda file: [file.write(part) for _ in range({size // 1000})])\n"
    )
    rng = random.Random(0)
    root = os.path.dirname(os.path.dirname(skneural.__file__))
    n_replaced, before = 0, None
    for _ in range(50):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, cwd=root)
        assert process.stdout.readline()
        while not path.exists():
            time.sleep(0.001)
        time.sleep(rng.random() / 50)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        data = path.read_bytes()
        assert len(data) == size
        assert data == data[:1] * size
        n_replaced += data != before
        before = data
    assert n_replaced > 5


def test_a_link_stays_a_link_and_a_new_file_has_the_usual_rights(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    write_whole(tmp_path / "link", lambda file: file.write(b"one"))
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "usual").write_bytes(b"")
    assert (tmp_path / "folder" / "file").read_bytes() == b"one"
    assert (tmp_path / "folder" / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_equal_estimators_have_equal_files(network, path, tmp_path):
    again = DenseNetClassifier((2,), epochs=1, random_state=0).fit(X, Y)
    again.save(tmp_path / "again.skn")
    assert (tmp_path / "again.skn").read_bytes() == path.read_bytes()
    assert stored_file.FORMAT == 1
