"""Names of the codes that may be asked for alone. Importing this is light."""

from typing import Final

NAMES: Final = ("levels", "signs", "seeded", "lowrank", "exact")
