"""The surface: the public names, what importing them costs, and what the package says of itself."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import keras
import mypy.api
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import skneural
from skneural._routed import Routed

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()


def _run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout.strip()


def _pins() -> list[Requirement]:
    lines = [line for line in LOCK.splitlines() if line and not line.lstrip().startswith(("#", "--hash="))]
    return [Requirement(line.removesuffix("\\")) for line in lines]


def _declared(extra: str | None = None) -> list[Requirement]:
    """Return what the project, or one extra of it, depends on, its own extras written out."""
    lines = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    declared: list[Requirement] = []
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["name"]:
            declared += [own for name in sorted(requirement.extras) for own in _declared(name)]
        else:
            declared.append(requirement)
    return declared


def test_public_names_are_sorted_and_all_listed() -> None:
    classes = sorted(name for name in skneural.__all__ if name[0].isupper())
    others = sorted(name for name in skneural.__all__ if not name[0].isupper())
    assert skneural.__all__ == classes + others
    assert dir(skneural) == sorted(skneural.__all__)
    assert not [
        name for name in vars(skneural) if name[0].isupper() and name not in [*skneural.__all__, "TYPE_CHECKING"]
    ]


def test_every_public_class_loads_and_has_its_public_name() -> None:
    for name in skneural.__all__:
        value = getattr(skneural, name)
        if isinstance(value, type):
            assert f"{value.__module__}.{value.__qualname__}" == f"skneural.{name}"


def test_type_checkers_see_the_classes_that_are_loaded_lazily() -> None:
    tree = ast.parse(Path(skneural.__file__).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: f"skneural.{node.module}" for node in imports for alias in node.names}
    assert seen == {name: f"skneural{module}" for name, module in skneural._MODULE_OF.items()}
    assert resources.files("skneural").joinpath("py.typed").is_file()


def test_type_checkers_report_a_name_that_does_not_exist(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from skneural import DenseNetClassifier, parallel_fits\nfrom skneural import DenseNet\n")
    configuration = str(ROOT / "pyproject.toml")
    printed, _, _ = mypy.api.run(["--config-file", configuration, "--cache-dir", str(tmp_path), str(script)])
    assert "script.py:1" not in printed
    assert 'script.py:2: error: Module "skneural" has no attribute "DenseNet"' in printed


def test_type_checkers_find_the_package_in_this_environment(tmp_path: Path) -> None:
    """As those of an editor do, which knows the environment's Python and nothing of this checkout."""
    code = "import skneural; reveal_type(skneural.DenseNetClassifier().predict)"
    arguments = ["--python-executable", sys.executable, "--cache-dir", str(tmp_path), "-c", code]
    command = [sys.executable, "-m", "mypy", "--config-file", "", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "Cannot find" not in result.stdout, f"the environment is older: make fresh-venv\n{result.stdout}"
    assert "Revealed type is" in result.stdout
    assert "ndarray" in result.stdout


@pytest.mark.slow
def test_type_checkers_find_no_fault_in_code_of_the_pages(tmp_path: Path) -> None:
    """Nothing that a reader would call a false alarm; that scikit-learn and Keras have no types is no fault."""
    scripts = []
    for page in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted((ROOT / "docs/guide").glob("*.md")),
    ]:
        code = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S))
        if code:
            scripts.append(tmp_path / f"code_of_{page.stem}.py")
            scripts[-1].write_text(code)
    assert len(scripts) > 15
    switches = ["--config-file", "", "--follow-imports", "silent", "--disable-error-code", "import-untyped"]
    printed, _, _ = mypy.api.run([*switches, "--cache-dir", str(tmp_path), *map(str, scripts)])
    assert printed.startswith("Success: "), printed


ESTIMATORS = [name for name in skneural.__all__ if name.endswith(("Classifier", "Regressor"))]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_rows_for_validation_are_given_by_name(name: str) -> None:
    parameters = inspect.signature(getattr(skneural, name).fit).parameters
    by_name = [one.name for one in parameters.values() if one.kind is one.KEYWORD_ONLY]
    assert by_name == ["X_val", "y_val", "sample_weight_val"]
    assert list(parameters)[:4] == ["self", "X", "y", "sample_weight"]


def test_type_checkers_know_what_methods_take(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np; from pathlib import Path\n"
        "from skneural import Autoencoder, ConvNetRegressor, DenseNetClassifier, KerasRegressor\n"
        "X, y = np.zeros((3, 2)), ['a', 'b', 'a']\n"
        "DenseNetClassifier(random_state=np.random.RandomState(0), class_weight={'a': 2}).fit(X, y, X_val=X, y_val=y)\n"
        "KerasRegressor(random_state=0).fit([[0.0], [1.0]], (1, 2), sample_weight=[1, 2]).predict(X)\n"
        "DenseNetClassifier(random_state='zero')\n"
        "DenseNetClassifier().fit(X, y, None, X)\n"
        "DenseNetClassifier().predict(None)\n"
        "DenseNetClassifier(epoch=3)\n"
        "ConvNetRegressor(optimizer__beta_1=0.8, loss__delta=2.0, predict__batch_size=7)\n"
        "Autoencoder(optimizer__beta1=0.8)\n"
        "class Readings:\n"
        "    shape, dtype = (5, 2), np.dtype(float)\n"
        "    def __getitem__(self, rows: slice) -> object: ...\n"
        "DenseNetClassifier().fit(Readings(), y).predict(Readings())\n"
        "ConvNetRegressor().fit([Path('a.png'), Path('b.png')], [1, 2])\n"
        "DenseNetClassifier().fit(X, y).predict(object())\n"
    )
    arguments = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path), str(script)]
    printed, _, _ = mypy.api.run(arguments)
    lines = [int(line.split(":")[1]) for line in printed.splitlines() if ": error:" in line]
    assert lines == [6, 7, 8, 9, 11, 17], printed


def test_routed_names_are_those_of_keras() -> None:
    """What an argument is that Keras's classes take, no type checker calls a mistake."""
    taken = {
        f"{prefix}__{parameter.name}"
        for module, prefix, base in (
            (keras.optimizers, "optimizer", keras.optimizers.Optimizer),
            (keras.losses, "loss", keras.losses.Loss),
            (keras.metrics, "metrics", keras.metrics.Metric),
        )
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, base) and kind is not base
        for parameter in inspect.signature(kind.__init__).parameters.values()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and parameter.name != "self"
    }
    for prefix in ("optimizer", "loss", "metrics"):
        named = {name for name in Routed.__annotations__ if name.startswith(prefix + "__")}
        assert named == {name for name in taken if name.startswith(prefix + "__")}
    for prefix, method in (("fit", keras.Model.fit), ("predict", keras.Model.predict)):
        named = {name.partition("__")[2] for name in Routed.__annotations__ if name.startswith(prefix + "__")}
        assert named <= set(inspect.signature(method).parameters)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'skneural' has no attribute 'DenseNet'$"):
        skneural.DenseNet  # noqa: B018


def test_import_is_light() -> None:
    code = """
import json, sys, time
before = set(sys.modules)
start = time.perf_counter()
import skneural
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted({name.partition(".")[0] for name in set(sys.modules) - before})]))
"""
    runs = [json.loads(_run_python(code)) for _ in range(3)]
    heavy = {"keras", "matplotlib", "numpy", "pandas", "scikeras", "scipy", "sklearn", "tensorflow"}
    assert heavy.isdisjoint(runs[0][1])
    assert min(seconds for seconds, _ in runs) < 0.2


def test_star_import_brings_the_public_names() -> None:
    code = """
names = {}
exec("from skneural import *", names)
import json
print(json.dumps(sorted(set(names) - {"__builtins__"})))
"""
    assert json.loads(_run_python(code)) == sorted(skneural.__all__)


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_native_engine_is_built_where_there_is_a_compiler() -> None:
    assert importlib.util.find_spec("skneural._engine.native._native") is not None, "make fresh-venv builds it"


def test_version_is_the_installed_one() -> None:
    assert importlib.metadata.version("skneural") == skneural.__version__, "the environment is older: make fresh-venv"
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+)?", skneural.__version__)


@pytest.mark.parametrize("requirement", _declared(), ids=str)
def test_every_dependency_has_a_lower_and_an_upper_bound(requirement: Requirement) -> None:
    assert {specifier.operator for specifier in requirement.specifier} == {">=", "<"}


def test_the_lock_names_its_command_and_holds_exact_pins_from_no_particular_index() -> None:
    assert "make lock" in LOCK.splitlines()[1]
    assert not re.search(r"://|file:|--(extra-)?index-url|--find-links|^-", LOCK, flags=re.MULTILINE)
    for pin in _pins():
        assert [specifier.operator for specifier in pin.specifier] == ["=="]
    parts = re.split(r"^(?=\w)", LOCK, flags=re.MULTILINE)[1:]
    assert len(parts) == len(_pins())
    assert all("--hash=sha256:" in part for part in parts)


@pytest.mark.parametrize("requirement", _declared() + _declared("test"), ids=str)
def test_the_lock_satisfies_pyproject(requirement: Requirement) -> None:
    pins = [pin for pin in _pins() if canonicalize_name(pin.name) == canonicalize_name(requirement.name)]
    assert pins
    for pin in pins:
        (specifier,) = pin.specifier
        assert requirement.specifier.contains(specifier.version, prereleases=True)
