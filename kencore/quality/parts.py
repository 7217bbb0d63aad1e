"""What processes measured of some data, in a folder that they share: one file for each state of the model and shard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from kencore.models.language import Windows
from kencore.models.said import Said, joined
from kencore.system.shard import Shard
from kencore.system.whole import whole_file

if TYPE_CHECKING:
    from kencore.data.examples import Examples
    from kencore.data.lines import Lines
    from kencore.models.figures import Figures
    from kencore.quality.judge_model import Judge


def key_of(data: Examples | Windows | Lines) -> list[Any]:
    """What tells data apart that the same model was measured on."""
    return [data.sha256, *([*data.ids.shape, data.bos] if isinstance(data, Windows) else [])]


class Parts:
    """Parts of a measurement.

    Args:
        folder: that the processes share.
        data: all of what is measured on.
    """

    def __init__(self, folder: Path, data: Examples | Windows | Lines) -> None:
        self.folder, self.data = folder, data
        self._key = key_of(data)

    def holds(self, step: str, shard: Shard) -> bool:
        """Whether a shard of a state was measured before."""
        return self._path(step, shard).is_file()

    def write(self, step: str, shard: Shard, said: Said) -> None:
        """Keep what a model said in one state, whole or not at all.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        with whole_file(self._path(step, shard), force=True) as place:
            save_file(said, place)

    def said(self, step: str) -> Said | None:
        """All that was said in one state; ``None``: some of it is missing."""
        parts = []
        for path in sorted(self.folder.glob(f"{self._name(step)}.*.safetensors")):
            try:
                parts.append(load_file(path))
            except (OSError, SafetensorError):
                continue
        return joined(parts, self.count)

    @property
    def count(self) -> int:
        """Windows or sentences."""
        return len(self.data.ids) if isinstance(self.data, Windows) else len(self.data)

    def figures(self, judge: Judge, steps: Sequence[str]) -> dict[str, Figures]:
        """The figures of all these states, the dense one first; none where a part of them is missing."""
        said = {step: self.said(step) for step in steps}
        if any(one is None for one in said.values()):
            return {}
        held = judge.holder(most=0)
        found: dict[str, Figures] = {}
        for step, one in said.items():
            more: dict[str, Any] = {} if held is None else {"held" if step == "dense" else "against": held}
            if step == "dense" and hasattr(judge.model, "dense"):
                judge.model.dense = one["embeddings"]  # type: ignore[index]
            found[step] = judge.model.figures(self.data, one, **more)
        return found

    def _path(self, step: str, shard: Shard) -> Path:
        return self.folder / f"{self._name(step)}.{shard.index}of{shard.count}.safetensors"

    def _name(self, step: str) -> str:
        return hashlib.sha256(json.dumps([*self._key, step]).encode()).hexdigest()[:24]
