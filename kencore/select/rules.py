"""Every rule by its name. A new rule is a new file and a new row here (and in `batched`)."""

from __future__ import annotations

from collections.abc import Callable

from kencore.select.chunks import Prepared, Rows
from kencore.select.density import ken_density
from kencore.select.ken import ken
from kencore.select.random import random
from kencore.select.ranked import delta, magnitude

RULES: dict[str, Callable[[Rows], Prepared]] = {
    "ken": ken,
    "ken-density": ken_density,
    "delta": delta,
    "magnitude": magnitude,
    "random": random,
}
