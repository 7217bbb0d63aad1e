"""``codes.safetensors`` of a run: the coded differences of its matrices, as a subnetwork file takes them.

The key ``codes`` of its metadata is JSON: code and facts of each matrix; its bytes are a tensor of the matrix's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kencore.checkpoint.write import SafetensorsWriter
from kencore.codes.coded import Coded
from kencore.codes.table import CODES
from kencore.runs.reading import corrupt

FILE = "codes.safetensors"


def write_codes(folder: Path, coded: Mapping[str, Coded]) -> None:
    """Write the coded matrices of a run into its folder."""
    said = {name: {"code": one.code, "facts": dict(one.facts)} for name, one in coded.items()}
    entries = {name: ("U8", (len(coded[name].data),)) for name in sorted(coded)}
    with SafetensorsWriter(folder / FILE, entries, {"codes": json.dumps(said, sort_keys=True)}) as writer:
        for name in entries:
            writer.write(name, np.frombuffer(coded[name].data, np.uint8))


def read_codes(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Coded]:
    """The coded matrices of a run.

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
            found = {
                name: Coded(
                    code=str(one["code"]),
                    shape=shapes[name],
                    facts=dict(one["facts"]),
                    data=file.get_tensor(name).tobytes(),
                )
                for name, one in said.items()
            }
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise corrupt(folder, f"{FILE} cannot be read ({error})") from error
    unknown = next((one.code for one in found.values() if one.code not in CODES), None)
    if unknown is not None:
        raise corrupt(folder, f"{FILE} with a code {unknown!r}")
    return found
