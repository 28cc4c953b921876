"""Sphinx's settings for the site that ``make docs`` builds."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.nodes import TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]
# The pages of estimators, seen from a page of the gallery: it links to them from each estimator's picture.
os.environ.setdefault("SKNEURAL_DOCS_URL", "..")

import skneural  # noqa: E402 - it must find the settings above

project = "skneural"
author = copyright = "The skneural developers"
version = release = skneural.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx_gallery.gen_gallery",
]
# Links into the documentation of others need their lists of names, from the
# network. Where it is not reached, the list without a name stands in.
intersphinx_mapping = {
    name: (address, (None, "no_names.inv"))
    for name, address in {
        "matplotlib": "https://matplotlib.org/stable",
        "numpy": "https://numpy.org/doc/stable",
        "pandas": "https://pandas.pydata.org/docs",
        "python": "https://docs.python.org/3",
        "scipy": "https://docs.scipy.org/doc/scipy",
        "sklearn": "https://scikit-learn.org/stable",
    }.items()
}
intersphinx_timeout = 10
# Keras publishes no such list; TensorFlow's pages of it are named after it.
KERAS_PAGES = "https://www.tensorflow.org/api_docs/python/tf/"

root_doc = "index"
exclude_patterns = ["_build", "gallery", "parameters.md"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_class_members_toctree = False
numpydoc_show_inherited_class_members = True
numpydoc_attributes_as_param_list = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "backreferences_dir": "reference/backreferences",
    "doc_module": ("skneural",),
    "reference_url": {"skneural": None},
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "show_memory": False,
    "min_reported_time": 1,
    # A page that loads scripts from another host.
    "write_computation_times": False,
    "plot_gallery": "True",
    "within_subsection_order": "FileNameSortKey",
    # Their picture is shown.
    "ignore_repr_types": r"skneural\..*Display|matplotlib",
}

html_theme = "pydata_sphinx_theme"
html_title = "skneural"
html_show_sourcelink = False
toc_object_entries_show_parents = "hide"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/icon.svg"
# Summaries are fetched from pages, which a browser refuses to a site that is read from a folder.
html_show_search_summary = False
html_context = {"default_mode": "auto"}
html_sidebars = {"reference": [], "benchmarks": []}
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def setup(app: Sphinx) -> None:
    """Connect what Sphinx calls while it reads pages and docstrings."""
    app.connect("source-read", with_file_of_the_root)
    # Behind numpydoc, whose lines have the types of parameters.
    app.connect("autodoc-process-docstring", with_links_and_names, priority=900)
    app.connect("missing-reference", to_keras_or_as_text, priority=900)


def with_links_and_names(
    app: Sphinx,
    what: str,
    name: str,
    obj: object,
    options: object,
    lines: list[str],
) -> None:
    """Let the lines of a docstring link out, and have no links where none are meant."""
    lines[:] = [with_names_as_text(with_links_out(line)) for line in lines]


def with_links_out(line: str) -> str:
    """Make a link of a full name that another package documents: a literal in a text, or the type of a parameter."""
    full_name = r"((?:keras|sklearn|matplotlib|pandas|scipy)(?:\.\w+)+)"
    is_type = re.match(r"\s*\*\*\w+\*\* : ", line)
    found = rf"(?<![\w`.]){full_name}" if is_type else rf"``{full_name}``"
    return re.sub(found, r":obj:`\1`", line)


def to_keras_or_as_text(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: TextElement
) -> nodes.Node | None:
    """Lead a name of Keras to its page; leave the text of a link into a guide of scikit-learn's that was not reached.

    Such links stand in docstrings that are inherited from there, as references of the whole site.
    """
    page = re.fullmatch(
        r"(keras(?:\.[a-z]\w*)*(?:\.[A-Z]\w*)?)(?:\.(\w+))?", node["reftarget"]
    )
    if page:
        address = (
            KERAS_PAGES
            + page[1].replace(".", "/")
            + f"#{page[2]}" * bool(page[2])
        )
        return nodes.reference("", "", text, internal=False, refuri=address)
    inherited = node["refdoc"].startswith("reference/generated/")
    return text if inherited and node["reftype"] in {"ref", "term"} else None


def with_names_as_text(line: str) -> str:
    """Keep a name that ends in an underscore, as in a shape, from being taken for the name of a link."""
    if line.lstrip().startswith((">>>", "...", "..")):
        return line
    literal_or_name = r"(`+[^`]*`+_?)|([A-Za-z0-9]\w*)_(?!\w)"
    return re.sub(
        literal_or_name, lambda found: found[1] or rf"{found[2]}\_", line
    )


FILES_OF_THE_ROOT = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "docs/": "../",
}


def with_file_of_the_root(
    app: Sphinx, docname: str, content: list[str]
) -> None:
    """Put a file that stands beside the package into its page, its links led to pages."""
    name = docname.removeprefix("development/").upper() + ".md"
    if docname.startswith("development/") and name in FILES_OF_THE_ROOT:
        content[0] = (DOCS.parent / name).read_text(encoding="utf-8")
        for path, page in FILES_OF_THE_ROOT.items():
            content[0] = content[0].replace(f"]({path}", f"]({page}")
