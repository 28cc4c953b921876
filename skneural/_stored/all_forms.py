"""The closed list of what can be stored as plain data."""

from __future__ import annotations

from .forms import Form
from .keras_forms import KERAS_FORMS
from .own_forms import OWN_FORMS
from .plain_forms import PLAIN_FORMS
from .scikit_forms import SCIKIT_FORMS

# The first that a value suits is taken: what is ours comes before what is Keras's, since some of it is both.
FORMS: tuple[Form, ...] = (*PLAIN_FORMS, *OWN_FORMS, *KERAS_FORMS, *SCIKIT_FORMS)
