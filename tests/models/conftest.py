"""What tests of loaded models share with those of their files."""

from __future__ import annotations

from tests.checkpoint.conftest import pairs as pairs
from tests.support.classifiers import make_model as make_model
