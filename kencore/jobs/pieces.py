"""How jobs are split among processes on several machines. Light: nothing here imports what runs them."""

from __future__ import annotations

from typing import Any

SHARD = "shard"  # the parameter beside a sweep's settings


def of_sweep(params: dict[str, Any], most: int) -> list[tuple[dict[str, Any], float]]:
    """A sweep by its points: parameters of each shard, and how many points it has."""
    from kencore.settings.sweep import SweepSpec
    from kencore.sweeps.shard import Shard

    points = SweepSpec.from_dict(params).points()
    count = min(most, len(points))
    if count < 2:
        return [(params, 1.0)]
    shards = [Shard(index=index, count=count) for index in range(count)]
    return [(params | {SHARD: str(shard)}, float(len(shard.of(points)))) for shard in shards]
