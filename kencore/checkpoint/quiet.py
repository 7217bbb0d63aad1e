"""Transformers without its progress bars and its advice: what is amiss becomes an error of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet(level: int = logging.ERROR) -> Iterator[None]:
    """No progress bar, and nothing below a level, from transformers.

    Args:
        level: the least grave message that is still logged.
    """
    from transformers.utils import logging as library

    told: Any = library  # its functions are not typed
    before, bar = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity(level)
    told.disable_progress_bar()
    try:
        yield
    finally:
        told.set_verbosity(before)
        if bar:
            told.enable_progress_bar()
