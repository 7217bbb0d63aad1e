"""``config.json``: as plain values, and as transformers reads it. Nothing that it names is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.checkpoint.quiet import quiet
from kencore.checkpoint.sizes import check_sizes, on_disk
from kencore.errors import ConfigError, OwnCodeError, SourceNotFoundError
from kencore.system.plain_json import read_json

if TYPE_CHECKING:
    from transformers import PretrainedConfig

WORDS = {list: "list", dict: "JSON object", str: "word"}


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` as plain values.

    Raises:
        SourceNotFoundError: no such folder.
        ConfigError: missing, not JSON, or without a model type.
    """
    if not folder.is_dir():
        raise SourceNotFoundError(
            f"Model {folder}", got="no such folder", wanted="a folder with a model", remedy="Check the path."
        )
    path = folder / "config.json"
    try:
        config = read_json(path)
    except FileNotFoundError:
        raise bad_config(folder, "no config.json", "the configuration beside the weights") from None
    except (OSError, ValueError) as error:
        raise bad_config(folder, f"a config.json that cannot be read ({error})", "JSON") from None
    # without a model type transformers would guess one from the folder's name
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise bad_config(folder, "a config.json without model_type", "the name of its architecture")
    for key, kind in (("architectures", list), ("id2label", dict), ("label2id", dict), ("problem_type", str)):
        if config.get(key) is not None and not isinstance(config[key], kind):
            raise bad_config(folder, f"{key} {config[key]!r} in config.json"[:200], f"a {WORDS[kind]}")
    names = config.get("architectures") or ()
    if not all(isinstance(name, str) for name in names):
        raise bad_config(folder, f"architectures {names!r} in config.json"[:200], "names of classes")
    return config


def read_known_config(folder: Path) -> PretrainedConfig:
    """The config of a folder as transformers reads it, of a model type that it knows. No code is run.

    Raises:
        SourceNotFoundError: no such folder.
        ConfigError: unreadable, or of a model type that this transformers does not know.
    """
    with quiet():
        return known_config(folder, read_config(folder))


def known_config(folder: Path, plain: dict[str, Any]) -> PretrainedConfig:
    """The same of values that `read_config` gave, once their sizes are those of the weights beside them."""
    import transformers

    check_sizes(folder, plain, on_disk(folder))

    model_type = plain["model_type"]
    _check_kernels(folder, plain)
    if model_type not in transformers.CONFIG_MAPPING:
        own = ", which the folder brings code for" if plain.get("auto_map") else ""
        raise bad_config(
            folder,
            f"model type {model_type!r}{own}",
            f"one that transformers {transformers.__version__} knows",
            "Update transformers; models that bring their own code are not run.",
        )
    try:
        config: PretrainedConfig = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # noqa: BLE001 - config classes check fields and raise what they like
        raise bad_config(folder, f"a config.json of wrong values ({line_of(error)})", "valid ones") from None
    return config


def _check_kernels(folder: Path, plain: Any) -> None:
    """Raise for a config, or one inside it, that names compiled code on the hub: it would be fetched and run."""
    parts = list(plain.values()) if isinstance(plain, dict) else plain if isinstance(plain, list) else []
    for key in ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"):
        named = plain.get(key) if isinstance(plain, dict) else None
        if isinstance(named, str) and "/" in named:
            raise OwnCodeError(
                str(folder),
                got=f"{key} {named!r} in config.json: code on the hub",
                wanted="one that transformers itself has, such as sdpa",
                remedy=f"Remove {key} from config.json: code that a model names is not run.",
            )
    for part in parts:
        if isinstance(part, dict | list):
            _check_kernels(folder, part)


def line_of(error: Exception) -> str:
    """What an error says, as one line of at most 200 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "..."


def bad_config(folder: Path, got: str, wanted: str, remedy: str = "") -> ConfigError:
    """The error for a config.json that cannot be used."""
    return ConfigError(
        str(folder),
        got=got,
        wanted=wanted,
        remedy=remedy or "Take the config.json that save_pretrained wrote with the weights.",
    )
