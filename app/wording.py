"""The words of `kencore.words.wording` under the name that the pages know them by."""

from kencore.words.wording import *  # noqa: F403
