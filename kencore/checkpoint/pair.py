"""A tuned model and the base it started from, matched tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass

from kencore.checkpoint.layout import Layout
from kencore.checkpoint.source import Source
from kencore.checkpoint.tensors import Tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both checkpoints open, and where each tuned tensor has its counterpart.

    Args:
        layout: of the tuned checkpoint.
        base_names: for each parameter of the layout, the base's name of it; ``None`` if the base
            has none (a new head): it is kept dense.
        notes: what a person should know, in plain words.
    """

    tuned: Source
    base: Source
    tuned_tensors: Tensors
    base_tensors: Tensors
    layout: Layout
    base_names: dict[str, str | None]
    notes: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of both checkpoints' files."""
        self.tuned_tensors.close()
        self.base_tensors.close()
