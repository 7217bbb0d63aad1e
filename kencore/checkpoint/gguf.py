"""GGUF files: what one says of itself, checked strictly before any library reads it.

Layout: ``GGUF``, version, number of tensors and of facts, the facts, the tensors' names, shapes, types and places, and
after padding their bytes. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Needs no library.
"""

from __future__ import annotations

import math
import mmap
import re
import shlex
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from kencore.errors import GgufError, NoSafetensorsError

SUFFIX: Final = ".gguf"
COMMAND: Final = "python -m kencore convert"
VERSIONS: Final = (2, 3)
_LONGEST: Final = 1 << 12  # numbers of a list that are kept; longer ones are passed over
_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _LIST = 8, 9
# type -> its name, values in a block, bytes of a block
TYPES: Final = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}
_PART: Final = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor: ``shape`` has the outputs first, ``kind`` is the name of how its values are packed."""

    name: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class Gguf:
    """What a file says of itself: its facts (long lists left out), and its tensors."""

    path: Path
    facts: dict[str, Any]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """As llama.cpp calls it."""
        return str(self.facts.get("general.architecture", ""))

    @property
    def kinds(self) -> str:
        """How its values are packed, the most frequent first."""
        return ", ".join(kind for kind, _ in Counter(tensor.kind for tensor in self.tensors).most_common())


def is_gguf(path: Path) -> bool:
    """Whether a file has the name or the first bytes of GGUF."""
    if path.suffix.lower() == SUFFIX:
        return True
    try:
        with path.open("rb") as file:
            return file.read(4) == b"GGUF"
    except OSError:
        return False


def gguf_alone(subject: str, names: Iterable[str] = ()) -> NoSafetensorsError:
    """The error for a model that is there as GGUF alone, with the command that makes weights of it.

    Args:
        subject: a file, a folder, or the id of a repository on the hub.
        names: the files of a folder or repository.
    """
    found = sorted(names) or [Path(subject).name]
    first = _PART.search(found[0])
    several = len(found) > 1 and not (first and first[1] == f"{len(found):05d}")
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    path = Path(subject) / found[0] if names else Path(subject)
    got, remedy = f"GGUF ({found[0]}{more}), whose weights are packed", ""
    if path.is_file():
        try:
            got += f" as {read_gguf(path).kinds}"
        except GgufError as error:
            got += f": {error.got}"
    else:
        remedy = f"Download it: hf download {shlex.quote(subject)} {shlex.quote(found[0])} --local-dir DOWNLOADED. "
        path = Path("DOWNLOADED") / found[0]
    remedy += f"Convert {'one of them' if several else 'it'} once: {COMMAND} {shlex.quote(str(path))} FOLDER"
    return NoSafetensorsError(subject, got=got, wanted="plain weights as safetensors", remedy=remedy)


def read_gguf(path: Path) -> Gguf:
    """Read facts and tensors, and check that every byte that is promised is there.

    Raises:
        GgufError: damaged, cut off, one part of several, or of a version that is not known.
    """
    try:
        size = path.stat().st_size
        if size < 24:
            _fail(path, f"only {size} bytes", "a whole GGUF file")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Reader(path, content).whole()
    except OSError as error:
        _fail(path, f"a file that cannot be read ({error.strerror or error})", "a readable file")


class _Reader:
    """Goes through a file once; every length is checked against what is left of it."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.path, self.content, self.at = path, content, 0

    def whole(self) -> Gguf:
        if self.content[:4] != b"GGUF":
            _fail(self.path, "a file that does not begin with GGUF", "a GGUF file")
        self.at = 4
        (version,) = self._take("I")
        if version not in VERSIONS:
            _fail(self.path, f"GGUF of version {version}", f"version {' or '.join(map(str, VERSIONS))}")
        tensors, facts = self._take("QQ")
        self._count(tensors, 24, "tensors")
        self._count(facts, 13, "facts")
        found = self._facts(facts)
        self._parts(found)
        return Gguf(self.path, found, self._tensors(tensors, found.get("general.alignment", 32)))

    def _facts(self, count: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(count):
            name = self._text()
            if name in found:
                _fail(self.path, f"the fact {name!r} twice", "each once")
            (kind,) = self._take("I")
            found[name] = self._value(kind)
        return found

    def _value(self, kind: int) -> Any:
        if kind in _NUMBERS:
            return self._take(_NUMBERS[kind])[0]
        if kind == _STRING:
            return self._text()
        if kind != _LIST:
            _fail(self.path, f"a fact of type {kind}", "one of those that the format knows")
        inner, count = self._take("IQ")
        if inner in _NUMBERS:
            width = struct.calcsize(f"<{_NUMBERS[inner]}")
            self._count(count, width, "numbers in a list")
            if count > _LONGEST:
                self.at += count * width
                return None
            return list(self._take(f"{count}{_NUMBERS[inner]}"))
        if inner != _STRING:
            _fail(self.path, f"a list of type {inner}", "one of numbers or words")
        self._count(count, 8, "words in a list")
        for _ in range(count):
            self._text()
        return None

    def _parts(self, facts: dict[str, Any]) -> None:
        named = _PART.search(self.path.name)
        parts = facts.get("split.count") or (int(named[1]) if named else 1)
        if isinstance(parts, int) and parts > 1:
            _fail(
                self.path,
                f"one of {parts} parts of a GGUF model",
                "one file",
                "Join them first: llama-gguf-split --merge FIRST_PART WHOLE.gguf",
            )

    def _tensors(self, count: int, alignment: Any) -> tuple[GgufTensor, ...]:
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            _fail(self.path, f"an alignment of {alignment!r}", "a small whole number")
        found: dict[str, GgufTensor] = {}
        ends = []
        for _ in range(count):
            name = self._text()
            (rank,) = self._take("I")
            if rank > 8:
                _fail(self.path, f"tensor {name!r} of {rank} dimensions", "at most 8")
            shape = tuple(reversed(self._take(f"{rank}Q")))
            kind, offset = self._take("IQ")
            if kind not in TYPES:
                _fail(self.path, f"tensor {name!r} of type {kind}", f"one of {', '.join(t[0] for t in TYPES.values())}")
            if name in found:
                _fail(self.path, f"tensor {name!r} twice", "each once")
            word, values, size = TYPES[kind]
            if not shape or shape[-1] % values:
                _fail(self.path, f"tensor {name!r} {shape} of {word}", f"rows of whole blocks of {values}")
            ends.append((offset + math.prod(shape) // values * size, name))
            found[name] = GgufTensor(name, shape, word)
        start = -(-self.at // alignment) * alignment
        size = len(self.content)
        for end, name in ends:
            if start + end > size:
                _fail(self.path, f"{size:,} bytes: it is cut off inside tensor {name!r}", f"{start + max(ends)[0]:,}")
        return tuple(found.values())

    def _text(self) -> str:
        (length,) = self._take("Q")
        self._count(length, 1, "letters")
        self.at += length
        return self.content[self.at - length : self.at].decode("utf-8", "replace")

    def _take(self, form: str) -> tuple[Any, ...]:
        size = struct.calcsize(f"<{form}")
        if self.at + size > len(self.content):
            _fail(self.path, f"{len(self.content):,} bytes: its header is cut off", "a whole file")
        found = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += size
        return found

    def _count(self, count: int, width: int, what: str) -> None:
        if count * width > len(self.content) - self.at:
            _fail(self.path, f"{count:,} {what} announced, more than its bytes can hold", "a whole file")


def _fail(path: Path, got: str, wanted: str, remedy: str = "") -> NoReturn:
    raise GgufError(
        str(path),
        got=got,
        wanted=wanted,
        remedy=remedy or "Download the file again: it is damaged, or not meant for this program.",
    ) from None
