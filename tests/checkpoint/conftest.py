"""Saved pairs of tiny models, written once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tiny_models import save_pair

Pairs = Callable[[str], tuple[Path, Path]]


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """``pairs("bert")`` -> the folders of a base and a tuned model; do not write to them."""
    root = tmp_path_factory.mktemp("pairs")
    made: dict[str, tuple[Path, Path]] = {}

    def get(name: str) -> tuple[Path, Path]:
        if name not in made:
            made[name] = save_pair(name, root / name)
        return made[name]

    return get
