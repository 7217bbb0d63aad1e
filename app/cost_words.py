"""The words of `kencore.words.costs` under the name that the pages know them by."""

from kencore.words.costs import *  # noqa: F403
