"""One pruning by several processes: each does some matrices, and `kencore.pruning.prune.prune` puts the run together.

Matrices go to the processes by size, the largest first, each to the one that has least to do. What a process finishes
lies in the folder that they share, matrix by matrix, as a long pruning keeps it (`kencore.pruning.finished`): one that
is killed costs the matrix that it was at. Of a pruning to a budget of bytes the codes of every matrix are tried so; the
choice among them needs all matrices, and what was chosen is coded by who puts the run together.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kencore.checkpoint.pair import open_models
from kencore.errors import SpecError
from kencore.pruning.finished import finished_before
from kencore.settings.prune import PruneSpec
from kencore.system.memory import budget
from kencore.system.progress import Progress, silent
from kencore.system.shard import Shard


def prune_part(
    spec: PruneSpec,
    shard: Shard,
    shared: Path,
    *,
    progress: Progress | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
) -> list[str]:
    """Prune the matrices of one shard into a folder that all shards share, or, of a budget of bytes, try their codes.

    Args:
        shared: a folder that is there.
        progress, threads, memory: as of `kencore.pruning.prune.prune`.

    Returns:
        The matrices of the shard.

    Raises:
        SpecError: the method runs the model block by block, where a matrix depends on those before it.
        KencoreError: as `kencore.pruning.prune.prune`.
    """
    from kencore.quality.judge import read_data
    from kencore.system.devices import resolve_device

    if spec.streams:
        raise SpecError(
            "shard",
            got=f"a part of {spec.method}, allocation {spec.allocation}",
            wanted="a method that needs no activations, spread evenly",
            remedy="Prune by one process.",
        )
    report = progress or silent
    report(0, 1, "Opening the checkpoints")
    device, pair, room = resolve_device(spec.device), open_models(spec), budget(memory)
    with finished_before(pair, spec, 0, shared) as finished:
        assert finished is not None
        if spec.coded:
            from kencore.pruning.by_bytes import is_measured
            from kencore.pruning.coder import Coder

            coder = Coder(pair, spec, room)
            coder.finished = finished
            coder.measured = is_measured(coder, read_data(pair.tuned.folder, spec))
            names = shared_out({name: one.size for name, one in coder.chosen.items()}, shard)
            coder.look_at(names, report)
            return names
        from kencore.pruning.by_slices import Pruner, SliceRun
        from kencore.pruning.plan import chosen, decide

        names = shared_out({name: one.size for name, one in chosen(decide(pair, spec)).items()}, shard)
        todo = {name for name in names if finished.read(name) is None}
        if todo:
            with SliceRun(pair, spec, shared / f"shard-{shard.index}", finished=finished, only=todo) as run:
                Pruner(pair, [run], device=device, threads=threads, progress=report, memory=room).prune()
        return names


def shared_out(sizes: Mapping[str, int], shard: Shard) -> list[str]:
    """The names of a shard, in their order: the largest goes first, each to the shard that has least to do."""
    loads, own = [0] * shard.count, set()
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        least = loads.index(min(loads))
        loads[least] += sizes[name]
        if least == shard.index:
            own.add(name)
    return [name for name in sizes if name in own]
