"""How jobs are split among processes. Light: nothing here imports what runs them, or fetches a model.

A kind's function gets the parameters of a piece like those of a job, with `SHARD` added. What the pieces of a job find
out lies in the folder that they share (`kencore.jobs.context.Context.shared`); a last one, with the job's own
parameters, begins when all others are done, takes it from there and leaves the result.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from kencore.errors import KencoreError

SHARD: Final = "shard"  # the parameter beside a job's settings: ``0/3``
Params = dict[str, Any]


class Share(NamedTuple):
    """A piece of a job.

    Args:
        params: what its function gets.
        weight: how much of the work it is, to weigh the job's progress.
        last: it begins once all others are done, and its result is the job's. Without one the result is that of
            the piece that ends last.
    """

    params: Params
    weight: float
    last: bool = False


def whole(params: Params) -> list[Share]:
    """A job that is not split."""
    return [Share(params, 1.0)]


def of_sweep(params: Params, most: int, folder: str) -> list[Share]:
    """A sweep by its points: each is a run of the store, so that no piece has to put anything together."""
    from kencore.settings.sweep import SweepSpec
    from kencore.system.shard import Shard

    points = SweepSpec.from_dict(params).points()
    count = min(most, len(points))
    if count < 2:
        return whole(params)
    shards = [Shard(index=index, count=count) for index in range(count)]
    return [Share(params | {SHARD: str(shard)}, float(len(shard.of(points)))) for shard in shards]


def of_pruning(params: Params, most: int, folder: str) -> list[Share]:
    """A pruning by its matrices, where no matrix needs what comes out of another one."""
    from kencore.settings.prune import PruneSpec

    spec = PruneSpec.from_dict(params)
    if spec.streams or not _is_large(spec.model, spec.model_revision, folder):
        return whole(params)
    return _shared_out(params, most)


def of_evaluation(params: Params, most: int, folder: str) -> list[Share]:
    """A measurement by parts of its text or sentences."""
    return _by_run(params, str(params["model"]), most, folder)


def of_sensitivity(params: Params, most: int, folder: str) -> list[Share]:
    """Matrices of a run that are measured one by one, by matrix."""
    return _by_run(params, str(params["run"]), most, folder)


def _by_run(params: Params, subject: str, most: int, folder: str) -> list[Share]:
    """A job on a run, or on a model by itself."""
    from kencore.runs.run import open_run

    revision = None
    try:
        spec = open_run(subject).spec
        subject, revision = spec.model, spec.model_revision
    except KencoreError:
        pass  # a model, or nothing that is there: the job says so
    return _shared_out(params, most) if _is_large(subject, revision, folder) else whole(params)


def _shared_out(params: Params, count: int) -> list[Share]:
    shards = [Share(params | {SHARD: f"{index}/{count}"}, 1.0) for index in range(count)]
    return [*shards, Share(params, 1.0, last=True)]


def _is_large(model: str, revision: str | None, folder: str) -> bool:
    """Whether a model's weights are here, and large enough for pieces to be worth their start."""
    from kencore.checkpoint.source import folder_here
    from kencore.jobs.settings import WorkerSettings

    place = folder_here(model, revision=revision, beside=folder)
    if place is None:
        return False
    held = sum(path.stat().st_size for path in place.glob("*.safetensors"))
    return held >= WorkerSettings.from_environment().piece_bytes
