"""Every rule by its name. A new rule is a new file and a new row here (and in `batched`)."""

from __future__ import annotations

from collections.abc import Callable

from kencore.methods.chunks import Prepared, Rows
from kencore.methods.ken.density import ken_density
from kencore.methods.ken.rule import ken
from kencore.methods.random import random
from kencore.methods.ranked import delta, magnitude

RULES: dict[str, Callable[[Rows], Prepared]] = {
    "ken": ken,
    "ken-density": ken_density,
    "delta": delta,
    "magnitude": magnitude,
    "random": random,
}
