"""Records a small store with one job of every kind, for the tests of later versions.

    python -m tests.recorded.make_store tests/recorded/store_0_1_0

Run by the version whose store is to be recorded: ``store_0_1_0`` is what version 0.1.0 wrote, and
is never made again. The models are tiny and random; they lie in ``/home/user/models`` while the
store is made, and are removed afterwards: what reads the store must do without them. Nothing in
the store names the machine that made it.

The whole needs a minute. It is made in ``/home/user``, which must not be there before.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

CODE = Path(__file__).resolve().parents[2]
PLUGIN = CODE / "tests/jobs/plugin"  # the kind selftest
PLACE = Path("/home/user")
HOME = PLACE / "kenviz"
ENCODER, LM = PLACE / "models/encoder", PLACE / "models/lm"
SENTENCES, TEXT = PLACE / "data/sentences.tsv", PLACE / "data/text.txt"
SETTINGS = {
    "KENVIZ_HOME": str(HOME),
    "KENVIZ_WORKERS": "1",
    "KENVIZ_IDLE_SECONDS": "3",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
}
VOCABULARY, POSITIONS = 40, 12
PATIENCE = 300.0


def main() -> None:
    """Make the store and put it where the first argument says."""
    target = Path(sys.argv[1]).absolute()
    target.mkdir(parents=True)
    PLACE.mkdir()
    try:
        write_models()
        os.environ |= SETTINGS | {"PYTHONPATH": str(PLUGIN)}
        sys.path.append(str(PLUGIN))
        os.chdir(PLACE)
        names = run_jobs()
        pack(target, names)
    finally:
        shutil.rmtree(PLACE)


# --- models and data --------------------------------------------------------------------------


def write_models() -> None:
    """A classifier and a causal language model of two blocks, each with its base."""
    import transformers as hf

    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    names = {"id2label": {0: "odd", 1: "even"}, "label2id": {"odd": 0, "even": 1}}
    _save_pair(hf.BertForSequenceClassification, hf.BertConfig(**sizes, **names), ENCODER)
    _save_pair(hf.LlamaForCausalLM, hf.LlamaConfig(**sizes), LM)
    SENTENCES.parent.mkdir()
    SENTENCES.write_text("\n".join(map(_sentence, range(60))), "utf-8")
    TEXT.write_text(" ".join(f"w{3 + i * i * 7 % (VOCABULARY - 3)}" for i in range(1500)), "utf-8")


def _save_pair(kind: Any, config: Any, folder: Path) -> None:
    import torch

    torch.manual_seed(0)
    model = kind(config).eval()
    for side, change in (("base", 0.1), ("tuned", 0.05)):
        for parameter in model.parameters():
            parameter.data += change * torch.randn_like(parameter)
        model.save_pretrained(folder / side)
        _save_tokenizer(folder / side)


def _save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"w{i}": i for i in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="w0", pad_token="w0").save_pretrained(folder)


def _sentence(number: int) -> str:
    """A labelled sentence: five odd words, or five even ones."""
    label = number % 2
    words = (3 + 2 * ((number * 5 + i * 3) % 18) + label for i in range(5))
    return " ".join(f"w{word}" for word in words) + f"\t{label}"


# --- jobs -------------------------------------------------------------------------------------


def run_jobs() -> dict[str, str]:
    """Run one job of every kind to its end, one to a failure and one to its cancelling.

    Returns:
        What each job is called here -> its id.
    """
    from kencore import jobs

    pair = {"model": str(ENCODER / "tuned"), "base": str(ENCODER / "base"), "device": "cpu"}
    ken = pair | {"method": "ken", "keep": 0.5, "evaluation": str(SENTENCES), "vectors": False}
    lm = {
        "model": str(LM / "tuned"),
        "method": "wanda",
        "keep": 0.5,
        "allocation": "neuroal",
        "calibration": str(TEXT),
        "sequences": 4,
        "search_sequences": 2,
        "window": POSITIONS,
        "evaluation": str(TEXT),
        "windows": 8,
        "fast": True,
        "device": "cpu",
    }
    learn = {"data": str(SENTENCES), "steps": 6, "batch": 4, "lr": 3e-3, "sample": 12, "device": "cpu"}
    grid = pair | {
        "methods": ["ken", "delta"],
        "keeps": [0.5],
        "evaluation": str(SENTENCES),
        "baselines": False,
        "scope": ["q"],
    }
    made = {"inspect": done("inspect", {k: pair[k] for k in ("model", "base")})}
    made["ken"] = done("prune", ken, request_key="first")
    made["neuroal"] = done("prune", lm)
    run = made["ken"]
    made["retune"] = done("retune", ken | {"keep": 0.4, "baselines": False, "scope": ["q"]})
    made["tune"] = done("tune", learn | {"run": run})
    made["sweep"] = done("sweep", grid)
    made["evaluate"] = done("evaluate", {"model": run, "examples": str(SENTENCES)})
    made["export"] = done("export", {"run": run, "form": "masks"})
    made["report"] = done("report", {"run": run})
    made["explain"] = done("explain", {"run": run, "text": "w3 w9 w4 w12 w7", "device": "cpu"})
    made["failed"] = done("prune", ken | {"model": str(PLACE / "models/absent")}, end="failed")
    made["cancelled"] = jobs.submit("selftest", {"steps": 1000, "sleep": 0.1})
    _until(lambda: jobs.status(made["cancelled"]).done > 0, "a job that runs")
    jobs.cancel(made["cancelled"])
    _until(lambda: jobs.status(made["cancelled"]).state == "cancelled", "a cancelled job")
    return made


def done(kind: str, params: dict[str, Any], *, end: str = "succeeded", **options: Any) -> str:
    """Submit a job and wait for its end, which must be the one that is wanted."""
    from kencore import jobs

    job = jobs.submit(kind, params, **options)
    _until(lambda: not jobs.status(job).live, f"the end of {kind}")
    status = jobs.status(job)
    if status.state != end:
        raise SystemExit(f"{kind}: {status.state}\n{status.error}\n{jobs.log(job)}")
    return job


def _until(true: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.05)


# --- what is kept of it -----------------------------------------------------------------------


def pack(target: Path, names: dict[str, str]) -> None:
    """Wait for the supervisor to leave, and copy the store without what only a process needs."""
    database = HOME / "jobs/jobs.sqlite3"
    _until(lambda: _alone(database), "the supervisor to leave")
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("VACUUM")
    connection.close()  # the last one: the write-ahead log goes
    shutil.rmtree(HOME / "results" / names["report"])  # large; a result may be gone
    unwanted = shutil.ignore_patterns("*.lock", "*-wal", "*-shm", "cache", "supervisor.log")
    for log in (HOME / "jobs/logs").iterdir():
        _anonymous(log)
    shutil.copytree(HOME, target, ignore=unwanted, dirs_exist_ok=True)
    (target / "names.json").write_text(json.dumps(names, indent=1) + "\n", "utf-8")


def _anonymous(log: Path) -> None:
    """Remove an empty log; in a traceback, say that the code was in the same made-up place."""
    text = log.read_text("utf-8").replace(str(CODE), str(PLACE / "KEN_viz"))
    log.write_text(text, "utf-8") if text else log.unlink()


def _alone(database: Path) -> bool:
    with sqlite3.connect(database) as connection:
        noted = connection.execute("SELECT 1 FROM notes WHERE name = 'supervisor'").fetchone()
    return noted is None


if __name__ == "__main__":
    main()
