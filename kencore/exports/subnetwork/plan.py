"""How each tensor of a run goes into a subnetwork file, known before anything is written.

From tables and headers; weights are read only where the dtypes of the two models differ. No torch.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.checkpoint.header import BITS
from kencore.checkpoint.tensors import round_to, to_float32
from kencore.checkpoint.write import header_bytes
from kencore.errors import KencoreError
from kencore.exports.subnetwork.format import CODED, KEY, PLAIN, Content
from kencore.exports.subnetwork.records import Stored, TextFile
from kencore.runs.card import beside
from kencore.runs.cells import thin_error
from kencore.runs.thin import SIZE

if TYPE_CHECKING:
    from kencore.runs.run import Run

AT_ONCE = 1 << 22


def subnetwork_bytes(run: Run) -> int:
    """Exact size in bytes of the subnetwork file of a run, not compressed, without writing it.

    Raises:
        SourceNotFoundError, ThinRunError: see `plan`.
    """
    content, _ = plan(run)
    entries = content.entries()
    payload = sum(int(np.prod(shape)) * BITS[dtype] // 8 for dtype, shape in entries.values())
    return 8 + len(header_bytes(entries, {KEY: content.text()})) + payload


def known_bytes(run: Run) -> int | None:
    """Bytes of the run's subnetwork file: as measured, or told without writing it.

    ``None`` where a model that the run was made from is not on this machine: nothing is fetched; nor of a run
    without its masks whose record does not say it.
    """
    measured = (run.metrics.get("cost") or {}).get("bytes") or {}
    if "subnetwork" in measured:
        return int(measured["subnetwork"])
    if run.thin:
        told = run.record.get(SIZE)
        return told if isinstance(told, int) and told > 0 else None
    sources = run.record.get("sources") or {}
    if not all(_is_here(str(source.get("text", ""))) for source in sources.values() if source):
        return None
    try:
        return subnetwork_bytes(run)
    except (KencoreError, OSError):
        return None


@lru_cache(maxsize=64)
def known_bytes_at(folder: Path, name: str, stamp: str) -> int | None:
    """`known_bytes` of the run of that name in a folder, told once for each ``stamp``: its files are the same."""
    from kencore.runs.run import Run

    return known_bytes(Run(folder, name=name))


def _is_here(text: str) -> bool:
    from kencore.settings.demo import DEMOS
    from kencore.settings.packaged import PACKAGED

    return text in DEMOS or text in PACKAGED or Path(text).expanduser().is_dir()


def plan(run: Run) -> tuple[Content, dict[str, bytes]]:
    """What the file will say, with hashes of results and payload still open; and the deflated
    config and tokenizer files that it carries.

    Raises:
        SourceNotFoundError: a checkpoint that the run was made from is gone.
        ThinRunError: the run codes differences and has them no longer.
    """
    if run.thin and run.spec.coded:
        raise thin_error(run, "The coded difference of its matrices")
    tuned = run.tuned_tensors
    shards = list(dict.fromkeys(Path(tuned.info(name).shard).name for name in tuned.names))
    lines = {line["name"]: line for line in run.matrices.to_dict("records")}
    owners = {twin: name for name, line in lines.items() for twin in (*line["tied"], name)}
    changed = set(run.changed_names)
    tensors = {}
    stacks = {part: name for name in tuned.stored for part in tuned.parts(name) if part != name}
    for name in tuned.names:
        info = tuned.info(name)
        owner = owners.get(name, name)
        twins = sorted(twin for twin, of in owners.items() if of == owner and twin in tuned)
        facts: dict[str, Any] = {
            "dtype": info.dtype,
            "shape": tuple(info.shape),
            "shard": shards.index(Path(info.shard).name),
            "part_of": stacks.get(name),
        }
        moved = not changed.isdisjoint({name, *twins})  # by recovery, which may have untied them
        if twins and name != twins[0] and not moved:
            tensors[name] = Stored(how="same", same_as=twins[0], **facts)
        else:
            tensors[name] = _stored(run, lines.get(owner), facts, moved)
    files, packed = _texts(run)
    base = None
    if run.restore == "base":
        source = run.record["sources"]["base"]
        base = {"text": str(source["text"]), "revision": source.get("revision")}
    content = Content(
        restore=run.restore,
        base=base,
        spec=asdict(run.spec),
        shards=tuple(shards),
        tensors=tensors,
        files=files,
        version=CODED if run.codes else PLAIN,
    )
    return content, packed


def _stored(run: Run, line: dict[Any, Any] | None, facts: dict[str, Any], changed: bool) -> Stored:
    """The smallest way to store a tensor; ``line`` is its line in the table of matrices."""
    dense = Stored(how="dense", **facts)
    if line is None:
        return dense
    base = _base(run, line)
    if base and "base_rows" not in base and not changed and _is_base(run, line):
        return Stored(how="base", **facts, **base)
    if line["status"] != "pruned":
        return dense
    coded = run.codes.get(line["name"])
    if coded is not None and base and "base_rows" not in base and not changed:
        if coded.code == "none":
            return Stored(how="base", **facts, **base)
        code: dict[str, Any] = {"code": coded.code, "facts": dict(coded.facts), "coded": len(coded.data)}
        return Stored(how="coded", **code, turned=True if line["transposed"] else None, **facts, **base)
    values = Stored(how="values", kept=int(line["kept"]), **facts, **base)
    size = -(-values.size // 8) + int(line["kept"]) * BITS[values.dtype] // 8
    return values if size < dense.nbytes else dense


def _base(run: Run, line: dict[Any, Any]) -> dict[str, Any]:
    """Name, dtype and hash of the base's tensor, where it can be built on."""
    name = line["base_name"]
    if run.restore == "zero" or pd.isna(name) or name not in run.base_tensors:
        return {}
    info = run.base_tensors.info(name)
    found = {"base": name, "base_dtype": info.dtype, "base_sha256": line["base_sha256"]}
    if list(info.shape) == list(line["shape"]):
        return found
    return found | {"base_rows": info.shape[0]} if line["name"] in run.common_rows else {}


def _is_base(run: Run, line: dict[Any, Any]) -> bool:
    """Whether the resulting tensor is the base's, rounded to the tuned dtype, to the last bit."""
    if line["status"] == "pruned":
        if line["kept"] == 0:
            return True
        if run.kept_values is not None:
            return False
    theirs = run.base_tensors.info(line["base_name"]).dtype
    if theirs == line["dtype"]:
        return bool(line["tuned_sha256"] == line["base_sha256"])
    if line["status"] == "pruned" and line["diff_rms"] != 0:
        return False
    tuned = run.tuned_tensors.raw(line["name"]).reshape(-1)
    base = run.base_tensors.raw(line["base_name"]).reshape(-1)
    parts = range(0, tuned.size, AT_ONCE)
    same = all(
        _equal(tuned[at : at + AT_ONCE], rounded(base[at : at + AT_ONCE], theirs, line["dtype"])) for at in parts
    )
    run.release()
    return same


def rounded(bits: NDArray[np.generic], dtype: str, wanted: str) -> NDArray[np.generic] | None:
    """Storage bits in another dtype, to nearest even; ``None`` where libraries may differ: NaN,
    and other dtypes than F32, F16 and BF16.
    """
    if not {dtype, wanted} <= {"F32", "F16", "BF16"}:
        return None
    values = round_to(to_float32(bits, dtype), wanted)
    if np.isnan(values).any():
        return None
    if wanted == "BF16":
        return (values.view(np.uint32) >> 16).astype(np.uint16)
    return values.astype(np.float16 if wanted == "F16" else np.float32)


def _equal(left: NDArray[np.generic], right: NDArray[np.generic] | None) -> bool:
    return right is not None and np.array_equal(
        np.ascontiguousarray(left).view("u1"), np.ascontiguousarray(right).view("u1")
    )


def _texts(run: Run) -> tuple[dict[str, TextFile], dict[str, bytes]]:
    """Config and tokenizer files of the tuned model: what is said of them, and what is carried."""
    files: dict[str, TextFile] = {}
    packed: dict[str, bytes] = {}
    for name, data in beside(run):
        digest = hashlib.sha256(data).hexdigest()
        if name != "config.json" and run.restore == "base" and _has(run, name, data):
            files[name] = TextFile(sha256=digest, size=len(data))
            continue
        packed[name] = zlib.compress(data, 9)
        files[name] = TextFile(sha256=digest, size=len(data), packed=len(packed[name]))
    return files, packed


def _has(run: Run, name: str, data: bytes) -> bool:
    path = Path(run.base_tensors.folder) / name
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
