"""A run whose changes are coded in low rank as a LoRA adapter: a folder that peft loads onto the base.

Of each matrix in the code ``lowrank``, alone: A is the code's right factor, (K, C) whole numbers, and B its left one
times the weight of each component, (R, K), both float32; the scale is 1. Everything else that the run changes (norms,
biases, matrices in other codes) is not in an adapter: the facts say what was left out. What the base lacks (a new
head) is saved whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.shards import ADAPTER
from kencore.checkpoint.write import SafetensorsWriter
from kencore.codes.lowrank import factors_of
from kencore.errors import SpecError
from kencore.runs.restore import stored_chunks
from kencore.system.progress import Progress, silent
from kencore.system.whole import whole_folder

if TYPE_CHECKING:
    from kencore.runs.run import Run

CONFIG: Final = "adapter_config.json"
OUTER: Final = "base_model.model."
TASKS: Final = {"ForSequenceClassification": "SEQ_CLS", "ForCausalLM": "CAUSAL_LM", "LMHeadModel": "CAUSAL_LM"}


def export_lora(run: Run, folder: str | Path, progress: Progress | None = None) -> tuple[Path, tuple[str, ...]]:
    """Write a run's low-rank changes as an adapter.

    Returns:
        The folder, and the names of tensors that the run changes and the adapter does not.

    Raises:
        SpecError: no matrix of the run is in low rank.
        RunExistsError: the folder is there and not empty.
    """
    folder, report = Path(folder), progress or silent
    coded = {name: one for name, one in run.codes.items() if one.code == "lowrank" and "then" not in one.facts}
    served = {name: one for name, one in coded.items() if name.endswith(".weight") and not _is_table(run, name)}
    if not served:
        raise SpecError(
            "form",
            got="lora of a run without a matrix in low rank",
            wanted="a run of bytes with code lowrank",
            remedy="Prune with --method bytes --code lowrank, or export as subnetwork.",
        )
    left = tuple(name for name, one in run.codes.items() if name not in served and one.code != "none")
    new = [name for name in run.tuned_tensors.stored if _is_new(run, name)]
    arrays: dict[str, NDArray[np.float32]] = {}
    ranks: dict[str, int] = {}
    for number, (name, one) in enumerate(served.items()):
        report(number, len(served), f"Writing the factors of {name}")
        left_side, right_side = factors_of(one)  # R x K, C x K
        module = name.removesuffix(".weight")
        ranks[module] = left_side.shape[1]
        arrays[f"{OUTER}{module}.lora_A.weight"] = np.ascontiguousarray(right_side.T)
        arrays[f"{OUTER}{module}.lora_B.weight"] = np.ascontiguousarray(left_side)
    entries: dict[str, tuple[str, tuple[int, ...]]] = {name: ("F32", array.shape) for name, array in arrays.items()}
    heads = {f"{OUTER}{name}": run.tuned_tensors.info(name) for name in new}
    entries |= {name: (info.dtype, tuple(info.shape)) for name, info in heads.items()}
    with whole_folder(folder) as temporary:
        with SafetensorsWriter(temporary / ADAPTER, entries, {"format": "pt"}) as to:
            for name, array in arrays.items():
                to.write(name, array)
            for name in heads:
                for chunk in stored_chunks(run, name.removeprefix(OUTER)):
                    to.write(name, chunk)
        text = json.dumps(_config(run, ranks, new), indent=2, sort_keys=True)
        (temporary / CONFIG).write_text(text, "utf-8")
    return folder, left


def _config(run: Run, ranks: dict[str, int], new: list[str]) -> dict[str, Any]:
    task = next((task for end, task in TASKS.items() if run.architecture.endswith(end)), None)
    return {
        "peft_type": "LORA",
        "task_type": task,
        "base_model_name_or_path": str(run.record["sources"]["base"]["text"]),
        "r": max(ranks.values()),
        "lora_alpha": max(ranks.values()),
        "rank_pattern": ranks,
        "alpha_pattern": ranks,  # alpha = r: the scale is 1
        "target_modules": sorted(ranks),
        "modules_to_save": sorted({name.rpartition(".")[0] for name in new}) or None,
        "fan_in_fan_out": any(bool(run.matrix(f"{module}.weight")["transposed"]) for module in ranks),
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }


def _is_table(run: Run, name: str) -> bool:
    return str(run.matrix(name)["role"]) == "embedding"


def _is_new(run: Run, name: str) -> bool:
    """Whether the base lacks a tensor."""
    if run.owner(name) is not None:
        return False
    lines = run.matrices.set_index("name")
    return name in lines.index and not isinstance(lines.loc[name, "base_name"], str)
