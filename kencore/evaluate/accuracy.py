"""Old name, for scripts written for 0.1.0: see `kencore.models.classifier` and `kencore.data.examples`."""

from kencore.data.examples import read_examples
from kencore.models.classifier import Classifier

__all__ = ["Classifier", "read_examples"]
