"""A causal language model that is pruned, measured and put back, as often as a job needs.

The model lies in main memory; its blocks go to the device one by one while streams run, and the
whole of it only while its perplexity is measured. A sweep loads it and reads the calibration text
once for all of its points.

Shapes: R rows (outputs), C columns (inputs) of a slot; S sequences, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.pair import check_finite
from kencore.models.paging import let_go_of, one_by_one
from kencore.pruning.plan import chosen
from kencore.runs.lines import Decision, matrix_line

if TYPE_CHECKING:
    import torch

    from kencore.allocate.slot import Slot
    from kencore.checkpoint.pair import Pair
    from kencore.data.calibration import Calibration
    from kencore.models.blocks import BlockModel, Streams
    from kencore.models.language import LanguageModel, Windows
    from kencore.pruning.blocks import Pruned
    from kencore.pruning.rule import Count, Rule
    from kencore.quality.cost import Once
    from kencore.quality.judge_model import Key
    from kencore.settings.prune import PruneSpec
    from kencore.system.progress import Progress

Counts = Mapping[str, "Count"]


class Workbench:
    """A loaded model with its blocks, its base if there is one, its judge, and its weights on disk.

    Args:
        pair: the opened checkpoints.
        plan: what happens to every parameter; it is the same for every job with activations that
            differs in nothing but method, allocation, share, rescaling and seed.
        windows: what perplexity is measured on, if it is.
        device: where blocks run and perplexity is measured.
        threads: processor threads; ``None`` leaves torch's own number.
        known, once: what was measured before, see `Judge`; both are added to.
        hold: keep streams for the next pruning; otherwise those of the search are let go.

    Raises:
        NotALanguageModelError: an encoder, an encoder-decoder, or no single stack of blocks.
        NonFiniteWeightError: a weight to be pruned is NaN or infinite.

    Attributes:
        plan: with what the loaded model turned out not to have as linear layers.
        chosen: what is to be pruned, by name on disk.
    """

    def __init__(
        self,
        pair: Pair,
        plan: list[Decision],
        windows: Windows | None = None,
        *,
        device: str,
        threads: int | None,
        known: dict[Key, dict[str, Any]] | None = None,
        once: Once | None = None,
        hold: bool = False,
    ) -> None:
        from kencore.models.blocks import BlockModel
        from kencore.quality.judge_model import Judge

        self.pair, self.windows, self.device, self.hold = pair, windows, device, hold
        self.language: LanguageModel = _loaded(pair, device, threads)
        self.language.device = device
        self.judge = Judge(self.language, windows, known=known, once=once, rest="cpu")
        self.blocks: BlockModel = BlockModel(self.language.model, pair.layout, scope=set(chosen(plan)))
        for block, slots in zip(self.blocks.blocks, self.blocks.by_block, strict=True):
            for slot in slots:
                check_finite(self.blocks.weight(slot.name).numpy(), 0, slot.name, "tuned")
            let_go_of(block)
        self.plan = [_really(decision, self.blocks) for decision in plan]
        self.chosen = chosen(self.plan)
        self._lines: dict[str, dict[str, Any]] = {}
        self._calibration: Calibration | None = None
        self._streams: dict[int, Streams] = {}
        self._carried_checked = False

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What is pruned, block by block in module order."""
        return self.blocks.slots

    def lines(self) -> dict[str, dict[str, Any]]:
        """The lines of all parameters by name, hashed once; a new dictionary each time."""
        if not self._lines:
            for decision in self.plan:
                self._lines[decision.parameter.name] = matrix_line(self.pair, decision)
                self.pair.release()
        return {name: dict(line) for name, line in self._lines.items()}

    def rule(self, method: str, **settings: Any) -> Rule:
        """The rule of that name and settings; entries go back to the base where there is one."""
        from kencore.pruning.rule import Rule

        bases = self.base if self.pair.base_tensors is not None else None
        return Rule(method=method, bases=bases, **settings)

    def base(self, name: str) -> torch.Tensor:
        """What a slot's entries become where they are not kept: float32 (R, C), read anew."""
        import torch

        return torch.from_numpy(self.pair.base_rows(self.chosen[name].parameter, slice(None)))

    def original(self, name: str) -> NDArray[np.float32]:
        """A slot's own weights as on disk: float32 (R, C)."""
        parameter = self.chosen[name].parameter
        return self.pair.tuned_tensors.matrix(name, transposed=parameter.transposed)

    def restore(self) -> None:
        """Give every slot its own weights again, where one has others."""
        self.judge.bring(self.pair.tuned_tensors)
        self.pair.release()

    def calibration(self, spec: PruneSpec) -> Calibration:
        """The windows of calibration text of a seed.

        Raises:
            TextTooShortError, WindowError, TextError: see `calibration_windows`.
        """
        from kencore.data.calibration import calibration_windows
        from kencore.models.language import usual_window

        if self._calibration is None or self._calibration.seed != spec.seed:
            self._streams.clear()
            positions = self.language.positions
            self._calibration = calibration_windows(
                self.language.tokenizer,
                spec.calibration,
                sequences=spec.sequences,
                window=spec.window or usual_window(positions),
                seed=spec.seed,
                positions=positions,
                rows=self.language.rows,
                bos=spec.bos,
            )
        return self._calibration

    def streams(self, sequences: int) -> Streams:
        """Streams of the first so many windows of the text that was read last."""
        assert self._calibration is not None
        if sequences not in self._streams:
            if not self.hold:  # or they would be held twice
                self._streams.clear()
            self.restore()
            self._streams[sequences] = self.capture(self._calibration.ids[:sequences])
        return self._streams[sequences]

    def capture(self, ids: torch.Tensor) -> Streams:
        """Calibration streams of token ids (S, T); the model must be whole.

        Raises:
            NotALanguageModelError: a block is given more of the blocks before it than hidden states.
        """
        from kencore.models.blocks import capture
        from kencore.models.blocks.carried import check_carried

        with one_by_one(self.blocks.blocks):
            if not self._carried_checked:  # the same for any text
                check_carried(self.blocks, ids)
                self._carried_checked = True
                _ = self.blocks.wiring  # found once, by running every block
            return capture(self.blocks, ids, device=self.device)

    def prune(
        self, streams: Streams, rule: Rule, counts: Counts, *, progress: Progress | None = None, **settings: Any
    ) -> Iterator[Pruned]:
        """`prune_blocks` on this model; what comes out is what the model then holds.

        SparseGPT as published leaves float32 weights behind: they are rounded to the dtype on
        disk once their block has been run.
        """
        from kencore.pruning.blocks import prune_blocks

        self.restore()
        self.judge.moved = dict.fromkeys(slot.name for slot in self.slots)
        rounding = rule.published and rule.row.update is not None
        for pruned in prune_blocks(self.blocks, streams, rule, counts, progress=progress, **settings):
            if rounding:
                dtype = self.blocks.dtype(pruned.slot.name)
                self.blocks.set_weight(pruned.slot.name, pruned.weight.to(dtype).float())
            yield pruned

    def prune_all(self, streams: Streams, rule: Rule, counts: Counts, *, progress: Progress | None = None) -> None:
        """Prune without keeping what comes out: for baselines."""
        for _ in self.prune(streams, rule, counts, norms=False, progress=progress):
            pass


def _loaded(pair: Pair, device: str, threads: int | None) -> LanguageModel:
    """The model in main memory: where its blocks run there too, in its own half precision and, if need be, paged."""
    from kencore.models.language import LanguageModel
    from kencore.models.paged import load_language
    from kencore.system.memory import budget

    folder = pair.tuned.folder
    if device == "cpu":
        return load_language(folder, device=device, threads=threads, room=budget(), narrow=True)
    return LanguageModel.load(folder, threads=threads)


def _really(decision: Decision, blocks: BlockModel) -> Decision:
    """The decision, unless the loaded model has no linear layer of that weight."""
    name = decision.parameter.name
    if decision.status != "pruned" or name in blocks.linears:
        return decision
    reason = blocks.refused.get(name, "not a linear layer of a block")
    return replace(decision, status="unprunable", reason=reason, k=None)
