"""The words of `kencore.words.measured` under the name that the pages know them by."""

from kencore.words.measured import *  # noqa: F403
