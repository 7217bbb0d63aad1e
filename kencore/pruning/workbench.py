"""A causal language model that is pruned, measured and put back, as often as a job needs.

The model lies in main memory; its blocks go to the device one by one while streams run, and the
whole of it only while its perplexity is measured.

Shapes: R rows (outputs), C columns (inputs) of a slot; S sequences, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.pruning.lines import base_values, check_finite
from kencore.system.progress import Progress

if TYPE_CHECKING:
    import torch

    from kencore.allocate.slot import Slot
    from kencore.checkpoint.pair import Pair
    from kencore.models.blocks import BlockModel, Streams
    from kencore.models.language import LanguageModel, Windows
    from kencore.pruning.blocks import Count, Pruned, Rule
    from kencore.pruning.plan import Decision

Counts = Mapping[str, "Count"]


class Workbench:
    """A loaded model with its blocks, its base if there is one, and its weights on disk.

    Args:
        pair: the opened checkpoints.
        chosen: what is to be pruned, by name on disk.
        device: where blocks run and perplexity is measured.
        threads: processor threads; ``None`` leaves torch's own number.

    Raises:
        NotALanguageModelError: an encoder, an encoder-decoder, or no single stack of blocks.
        NonFiniteWeightError: a weight to be pruned is NaN or infinite.
    """

    def __init__(self, pair: Pair, chosen: Mapping[str, Decision], *, device: str, threads: int | None) -> None:
        from kencore.models.blocks import BlockModel
        from kencore.models.language import LanguageModel

        self.pair, self.chosen, self.device = pair, dict(chosen), device
        self.language: LanguageModel = LanguageModel.load(pair.tuned.folder, threads=threads)
        self.blocks: BlockModel = BlockModel(self.language.model, pair.layout, scope=set(chosen))
        for slot in self.blocks.slots:
            check_finite(self.blocks.weight(slot.name).numpy(), 0, slot.name, "tuned")

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What is pruned, block by block in module order."""
        return self.blocks.slots

    def rule(self, method: str, **settings: Any) -> Rule:
        """`make_rule` of that name and settings; entries go back to the base where there is one."""
        from kencore.pruning.blocks import make_rule

        bases = self.base if self.pair.base_tensors is not None else None
        return make_rule(method, bases=bases, **settings)

    def base(self, name: str) -> torch.Tensor:
        """What a slot's entries become where they are not kept: float32 (R, C), read anew."""
        import torch

        decision = self.chosen[name]
        rows = slice(0, decision.parameter.rows)
        like: NDArray[np.float32] = np.empty(decision.shape, np.float32)
        return torch.from_numpy(base_values(self.pair, decision, rows, like))

    def original(self, name: str) -> NDArray[np.float32]:
        """A slot's own weights as on disk: float32 (R, C)."""
        parameter = self.chosen[name].parameter
        return self.pair.tuned_tensors.matrix(name, transposed=parameter.transposed)

    def restore(self) -> None:
        """Give every slot its own weights again."""
        import torch

        for slot in self.slots:
            self.blocks.set_weight(slot.name, torch.from_numpy(self.original(slot.name)))
        self.pair.release()

    def capture(self, ids: torch.Tensor) -> Streams:
        """Calibration streams of token ids (S, T); the model must be whole."""
        from kencore.models.blocks import capture

        return capture(self.blocks, ids, device=self.device)

    def prune(
        self, streams: Streams, rule: Rule, counts: Counts, *, progress: Progress | None = None, **settings: Any
    ) -> Iterator[Pruned]:
        """`prune_blocks` on this model; what comes out is what the model then holds.

        SparseGPT as published leaves float32 weights behind: they are rounded to the dtype on
        disk once their block has been run.
        """
        from kencore.pruning.blocks import prune_blocks

        rounding = rule.published and rule.method == "sparsegpt"
        for pruned in prune_blocks(self.blocks, streams, rule, counts, progress=progress, **settings):
            if rounding:
                dtype = self.blocks.dtype(pruned.slot.name)
                self.blocks.set_weight(pruned.slot.name, pruned.weight.to(dtype).float())
            yield pruned

    def prune_all(self, streams: Streams, rule: Rule, counts: Counts, *, progress: Progress | None = None) -> None:
        """Prune without keeping what comes out: for baselines."""
        for _ in self.prune(streams, rule, counts, norms=False, progress=progress):
            pass

    def quality(self, windows: Windows, progress: Progress | None = None) -> dict[str, Any]:
        """Perplexity of the model as it is now."""
        model = self.language.model
        self.language.device = self.device
        model.to(self.device)
        try:
            return self.language.quality(windows, progress=progress)
        finally:
            model.to("cpu")
