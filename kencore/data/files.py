"""A data file that a person named: its bytes and its text, or a plain error.

Importing this module is light.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kencore.errors import DataFileError
from kencore.system import roots

# names of the column that holds the text, the first that a file has
TEXT_COLUMNS = ("sentence", "text", "sentence1", "premise")
Wrong = Callable[[Path, str, str], DataFileError]  # path, what was got, what to do

MARKS = {  # of a byte order; that of UTF-32 begins as that of UTF-16 does
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
}
PACKED_ENDINGS = (".gz", ".zst", ".xz", ".bz2", ".zip")
LOOKED_AT = 1 << 14  # bytes that tell whether half of all are zero


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A file that was read whole.

    Args:
        path: where it is.
        content: its bytes.
        wrong: makes the error for what is amiss with it.
    """

    path: Path
    content: bytes
    wrong: Wrong

    @property
    def ending(self) -> str:
        """The file's ending in lower case, with its dot."""
        return self.path.suffix.lower()

    @property
    def sha256(self) -> str:
        """Of the bytes, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the text was read."""
        encoding, mark = self._encoding
        notes = []
        if encoding != "utf-8":
            notes.append(f"Read as {encoding.upper()}{'' if mark else ', though it has no byte order mark'}.")
        if "\0" in self.text:
            row = self.text[: self.text.index("\0")].count("\n") + 1
            notes.append(f"It holds zero bytes, the first at row {row}: they are part of the text.")
        return tuple(notes)

    @cached_property
    def text(self) -> str:
        """The content as text, without a byte order mark; lines end in a line feed.

        UTF-8, or UTF-16 and UTF-32 where a byte order mark or the zero bytes of plain letters say
        so. No other encoding is guessed: it could be any, and a wrong one gives wrong letters.
        """
        packed = next((name for start, name in PACKED.items() if self.content.startswith(start)), None)
        if packed:
            raise self.wrong(self.path, f"compressed ({packed})", "unpack it first")
        encoding, mark = self._encoding
        try:
            text = self.content[mark:].decode(encoding)
        except UnicodeDecodeError as error:
            raise self._undecodable(encoding, mark + error.start) from None
        text = text.lstrip("\ufeff").replace("\r\n", "\n")
        # a lone carriage return ends lines where nothing else does
        return text if "\n" in text else text.replace("\r", "\n")

    @cached_property
    def _encoding(self) -> tuple[str, int]:
        """The encoding, and how many bytes its mark takes."""
        for mark, encoding in MARKS.items():
            if self.content.startswith(mark):
                return encoding, len(mark)
        start = self.content[:LOOKED_AT]
        first, second = start[::2], start[1::2]
        for encoding, zeros, letters in (("utf-16-le", second, first), ("utf-16-be", first, second)):
            if len(zeros) > 1 and 2 * zeros.count(0) > len(zeros) and 0 not in letters:
                return encoding, 0
        return "utf-8", 0

    def _undecodable(self, encoding: str, at: int) -> DataFileError:
        before = self.content[:at]
        row = before.count("\n".encode(encoding)) + 1
        place = at - (before.rfind(b"\n") + 1) + 1
        got = f"not {encoding.upper()} at row {row}, byte {place} of it (0x{self.content[at]:02X})"
        advice = "save the file as UTF-8; it may be Latin-1 or Windows-1252 now"
        return self.wrong(self.path, got, advice if encoding == "utf-8" else "save the file again, as UTF-8")


def read_file(place: str | Path, endings: Collection[str], wrong: Wrong) -> DataFile:
    """Read a file whole.

    Args:
        place: the path; ``~`` is the user's own folder.
        endings: what its name may end in.
        wrong: makes the error.

    Raises:
        DataFileError: as ``wrong`` makes it: no such file, another ending, no permission.
        NotAllowedError: outside the folders of this server, see `kencore.system.roots`.
    """
    roots.check_path(place, "data")
    try:
        path = Path(place).expanduser()
    except RuntimeError as error:  # ~nobody
        raise wrong(Path(place), str(error).lower(), "check the path") from None
    ending = path.suffix.lower()
    if ending not in endings:
        packed = ending in PACKED_ENDINGS
        named = "name a file ending in " + ", ".join(endings)
        raise wrong(path, "of another kind" + ", compressed" * packed, "unpack it first, and " * packed + named)
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise wrong(path, reason, "check the path and its permissions") from None
    return DataFile(path=path, content=content, wrong=wrong)
