"""The link from an estimator's picture in a notebook to its page."""

from __future__ import annotations

import os


class LinkedToItsPage:
    """Links to the documentation that ``SKNEURAL_DOCS_URL`` names, a folder or an address; none without it.

    The attributes are those of scikit-learn 1.9 (``sklearn.utils._repr_html.base._HTMLDocumentationLinkMixin``), which
    its developers' guide offers to other libraries.
    """

    @property
    def _doc_link_module(self) -> str:
        """The package whose classes have a page."""
        return "skneural" if os.environ.get("SKNEURAL_DOCS_URL") else ""

    @property
    def _doc_link_template(self) -> str:
        place = os.environ.get("SKNEURAL_DOCS_URL", "").rstrip("/")
        return place + "/reference/generated/{estimator_module}.{estimator_name}.html"
