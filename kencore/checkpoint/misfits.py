"""Weights of other shapes than config.json says: told before anything runs."""

from __future__ import annotations

from collections.abc import Mapping

from kencore.errors import WeightShapeError

Shape = tuple[int, ...]
NAMED = 3


def refuse_misfits(subject: str, misfits: Mapping[str, tuple[Shape, Shape]]) -> None:
    """Raise unless there are none.

    Args:
        misfits: shapes on disk and by config.json, by name.

    Raises:
        WeightShapeError: naming the first ones, with both shapes.
    """
    if not misfits:
        return
    said = [f"{name} is {disk} on disk, {wanted} by config.json" for name, (disk, wanted) in misfits.items()]
    more = f"; and {len(said) - NAMED} more" if len(said) > NAMED else ""
    raise WeightShapeError(
        subject,
        got="; ".join(said[:NAMED]) + more,
        wanted="weights of the shapes that config.json says: it cannot be run otherwise",
        remedy="Correct the sizes in config.json (vocab_size after adding tokens, id2label of a head), or save the "
        "model again with save_pretrained.",
    )
