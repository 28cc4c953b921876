"""Sphinx's settings for the site that ``make docs`` builds."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

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
    "sphinx_gallery.gen_gallery",
]
# Links into the documentation of others need their lists of names, from the network. Keras publishes none.
if os.environ.get("SKNEURAL_DOCS_LINK_OUT"):
    extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = {
    "numpy": ("https://numpy.org/doc/stable", None),
    "pandas": ("https://pandas.pydata.org/docs", None),
    "python": ("https://docs.python.org/3", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
}

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
    "plot_gallery": "True",
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "pydata_sphinx_theme"
html_title = "skneural"
html_show_sourcelink = False
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
    app.connect("autodoc-process-docstring", with_names_as_text, priority=900)
    if "sphinx.ext.intersphinx" not in extensions:
        app.connect("autodoc-process-docstring", without_links_out, priority=900)


def without_links_out(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Leave the text of links into scikit-learn's guide, in docstrings that are inherited from there."""
    link = r":(?:ref|term):`([^`<]+?)(?:\s*<[^>`]+>)?`"
    text = re.sub(link, lambda found: " ".join(found[1].split()), "\n".join(lines))
    lines[:] = text.split("\n")


def with_names_as_text(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Keep a name that ends in an underscore, as in a shape, from being taken for the name of a link."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...", "..")):
            literal_or_name = r"(`+[^`]*`+_?)|([A-Za-z0-9]\w*)_(?!\w)"
            lines[number] = re.sub(literal_or_name, lambda found: found[1] or rf"{found[2]}\_", line)


FILES_OF_THE_ROOT = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "docs/": "../",
}


def with_file_of_the_root(app: Sphinx, docname: str, content: list[str]) -> None:
    """Put a file that stands beside the package into its page, its links led to pages."""
    name = docname.removeprefix("development/").upper() + ".md"
    if docname.startswith("development/") and name in FILES_OF_THE_ROOT:
        content[0] = (DOCS.parent / name).read_text(encoding="utf-8")
        for path, page in FILES_OF_THE_ROOT.items():
            content[0] = content[0].replace(f"]({path}", f"]({page}")
