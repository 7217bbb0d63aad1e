"""``codes.safetensors`` of a run: the coded differences of its matrices, as a subnetwork file takes them.

The key ``codes`` of its metadata is JSON: code and facts of each matrix; its bytes are a tensor of the matrix's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from kencore.checkpoint.write import READ_AT_ONCE, SafetensorsWriter
from kencore.codes.coded import Coded
from kencore.codes.table import CODES
from kencore.runs.extras import open_file
from kencore.runs.reading import corrupt

FILE: Final = "codes.safetensors"
_PART: Final = ".codes.part"


class CodesWriter:
    """Writes the coded matrices of a run into its folder, none of which stays in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: dict[str, Any] = {}
        self._places: dict[str, tuple[int, int]] = {}  # where a matrix's bytes begin, and how many they are
        self._file = (folder / _PART).open("w+b")

    def add(self, name: str, coded: Coded) -> None:
        """Write a matrix."""
        self._said[name] = {"code": coded.code, "facts": dict(coded.facts)}
        self._places[name] = self._file.tell(), len(coded.data)
        self._file.write(coded.data)

    def close(self) -> None:
        """Put all of them into their file, in the order of their names."""
        entries = {name: ("U8", (self._places[name][1],)) for name in sorted(self._said)}
        said = {"codes": json.dumps(self._said, sort_keys=True)}
        with self._file as file, SafetensorsWriter(self._folder / FILE, entries, said) as writer:
            for name in entries:
                first, size = self._places[name]
                for at in range(first, first + max(1, size), READ_AT_ONCE):
                    file.seek(at)
                    writer.write(name, np.frombuffer(file.read(min(READ_AT_ONCE, first + size - at)), np.uint8))
        (self._folder / _PART).unlink()


def read_codes(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Coded]:
    """The coded matrices of a run; their bytes stay in the file until they are read.

    Args:
        shapes: (R, C) of the run's pruned matrices by name.

    Raises:
        CorruptRunError: the file is missing, cannot be read, or tells of other matrices.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / FILE, framework="numpy") as file:
            said = json.loads((file.metadata() or {})["codes"])
            if not set(file.keys()) == set(said) <= set(shapes):
                raise ValueError("other matrices")
        tensors = open_file(folder, FILE)
        found = {
            name: Coded(
                code=str(one["code"]),
                shape=shapes[name],
                facts=dict(one["facts"]),
                data=np.asarray(tensors.raw(name), np.uint8).data,
            )
            for name, one in said.items()
        }
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise corrupt(folder, f"{FILE} cannot be read ({error})") from error
    unknown = next((one.code for one in found.values() if one.code not in CODES), None)
    if unknown is not None:
        raise corrupt(folder, f"{FILE} with a code {unknown!r}")
    return found
