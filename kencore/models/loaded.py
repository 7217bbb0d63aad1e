"""A loaded transformers model whose weights can be swapped: what every judge shares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kencore.errors import ShapeError, TaskMismatchError

# kinds whose table of positions starts with the padding row: the first token is at padding_idx + 1
AFTER_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "prophetnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
AHEAD = {"prophetnet": 1}  # positions after the last token that a kind looks up, too
POSITION_TABLES = ("position_embeddings", "embed_positions", "positions_embed", "wpe")
OTHER_SENSES = re.compile("vision|visual|image|audio|speech")  # their positions are no tokens
ANY_LENGTH = 1 << 40  # tokens: as many or more stand for no limit

if TYPE_CHECKING:
    import torch

    from kencore.models.names import Joined, Piece
    from kencore.models.pages import Pages


@dataclass(kw_only=True, eq=False)
class LoadedModel:
    """A model and the tokenizer from its folder.

    Args:
        folder: where the model was loaded from.
        model: a transformers model.
        tokenizer: a transformers tokenizer.
        device: a torch device.
        threads: processor threads while measuring; ``None`` leaves torch's own number.
        parameters: names on disk to names in ``model.state_dict()``; an empty tuple where none
            holds that tensor alone.
        pieces: where in larger or smaller parameters the rows of other names on disk are.
        joined: which of these are joined or split, and how.
        ignored: names on disk that the model does not use.
        pages: its weights in a file, where it is too large for memory.
    """

    folder: Path
    model: Any
    tokenizer: Any
    device: str
    threads: int | None
    parameters: dict[str, tuple[str, ...]]
    pieces: dict[str, tuple[Piece, ...]]
    joined: tuple[Joined, ...]
    ignored: frozenset[str]
    pages: Pages | None = None

    def replace(self, state: Mapping[str, torch.Tensor]) -> None:
        """Give parameters other values, in place; parameters that are not named stay.

        Values are taken exactly where the model's type is as wide as theirs: float16 and bfloat16
        are widened to float32. A parameter that the model ties to another changes both.

        Args:
            state: tensors by their names on disk, shaped as on disk; not changed.

        Raises:
            TaskMismatchError: a name that is not on disk, or that transformers does not load
                one to one. Nothing has changed then.
            ShapeError: another shape than on disk. Nothing has changed then.
        """
        import torch

        with torch.no_grad():
            own = self.model.state_dict()
            targets = {name: self._targets(own, name, tensor) for name, tensor in state.items()}
            for target, source in (pair for found in targets.values() for pair in found):
                target.copy_(source)

    def replace_each(self, names: Sequence[str], tensor: Callable[[str], torch.Tensor], threads: int = 1) -> None:
        """Give many parameters other values, one after the other, in place.

        Args:
            names: on disk.
            tensor: what each is to hold; called from several threads.
            threads: how many parameters are made at once.

        Raises:
            TaskMismatchError, ShapeError: as `replace`; and whatever ``tensor`` raises. Others may have changed then.
        """
        import torch

        own = self.model.state_dict()

        def put(name: str) -> None:
            with torch.no_grad():
                for target, source in self._targets(own, name, tensor(name)):
                    target.copy_(source)

        with ThreadPoolExecutor(max(1, threads)) as pool:
            try:
                for _ in pool.map(put, names):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _targets(
        self, state: Mapping[str, torch.Tensor], name: str, tensor: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Views of the model's parameters, each with what it is to hold."""
        targets = [(state[known], tensor) for known in self.parameters.get(name, ())]
        targets += [
            (piece.of(state[piece.parameter]), tensor[piece.first : piece.first + piece.rows])
            for piece in self.pieces.get(name, ())
        ]
        if not targets and name not in self.ignored:
            raise TaskMismatchError(
                f"Parameter {name}",
                got="no parameter of the loaded model that holds it alone",
                wanted=f"a tensor of {self.folder} that is loaded one to one",
                remedy="Use the names of the model's safetensors file.",
            )
        for target, source in targets:
            if target.shape != source.shape:
                raise ShapeError(
                    f"Parameter {name}",
                    got=f"shape {tuple(source.shape)}",
                    wanted=f"{tuple(target.shape)}",
                    remedy="Pass the tensor as it is shaped on disk.",
                )
        return targets


def stated_positions(config: Any) -> int | None:
    """Tokens that a config says the model can read; ``None`` where it says nothing.

    Nothing is said, too, by -1 (XLNet) and by a number that stands for any length (1e30). Of kinds
    that start counting after the padding row, the rows before are no positions.

    Args:
        config: of transformers, or the plain content of a config.json that states everything itself.
    """
    config = SimpleNamespace(**config) if isinstance(config, dict) else config.get_text_config(decoder=True)
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "max_target_positions"):
        if (stated := limit_of(getattr(config, name, None))) is not None:
            padding = getattr(config, "pad_token_id", None) if _after_padding(config) else None
            ahead = AHEAD.get(getattr(config, "model_type", ""), 0)
            return max(1, stated - (0 if padding is None else padding + 1) - ahead)
    return None


def limit_of(stated: Any) -> int | None:
    """Tokens as a config or a tokenizer states them; ``None`` where it bounds nothing, as -1, 1e30 or infinity."""
    if isinstance(stated, bool) or not isinstance(stated, (int, float)):
        return None
    return int(stated) if 1 <= stated < ANY_LENGTH else None  # not a number is neither


def _after_padding(config: Any) -> bool:
    rotary = getattr(config, "position_embedding_type", None) in ("rotary", "relative_key", "relative_key_query")
    return getattr(config, "model_type", None) in AFTER_PADDING and not rotary


def usable_positions(model: Any, limit: int) -> int:
    """``limit``, or less where a table of learned positions is shorter."""
    for name, module in model.named_modules():
        rows = getattr(module, "num_embeddings", None)  # sinusoids that are made as they are needed have none
        if rows is not None and name.endswith(POSITION_TABLES) and not OTHER_SENSES.search(name):
            # RoBERTa and its kin start counting after the padding row
            padding = getattr(module, "padding_idx", None)
            limit = min(limit, rows - (0 if padding is None else padding + 1))
    return limit


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """So many processor threads inside; ``None`` changes nothing."""
    import torch

    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
