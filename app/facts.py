"""The words of `kencore.words.facts` under the name that the pages know them by."""

from kencore.words.facts import *  # noqa: F403
