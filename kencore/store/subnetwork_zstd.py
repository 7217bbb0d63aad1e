"""One zstd frame around a whole file, and opening it without trusting what it says of its size."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, BinaryIO

from kencore.errors import CorruptSubnetworkError, MissingExtraError, StoreNotWritableError

MAGIC = b"\x28\xb5\x2f\xfd"
LEVEL = 9
SMALL = 1 << 26  # bytes that any frame may grow to
MOST_GROWTH = 100  # times that a larger one may grow: weights hardly shrink, masks by less than 8
WINDOW = 1 << 27  # bytes of memory that a frame may ask for
PIECE = 1 << 20


def is_zstd(path: Path) -> bool:
    """Whether a file begins as a zstd frame does."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def need_zstd() -> Any:
    """The library zstandard.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtraError(
            "zstd", got="the library zstandard is not installed", wanted="the extra zstd",
            remedy="Install kencore[zstd], or use the file that is not compressed.",
        ) from error  # fmt: skip
    return zstandard


def compress_file(path: Path) -> None:
    """Replace a file by its frame, unless `decompress_file` would refuse so small a one."""
    zstd, size = need_zstd(), path.stat().st_size
    frame = path.with_name(f"{path.name}.zst")
    try:
        packer = zstd.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
        with path.open("rb") as source, frame.open("wb") as target:
            packer.copy_stream(source, target, size=size)
        if size <= _limit(frame):
            frame.replace(path)
    finally:
        frame.unlink(missing_ok=True)


def decompress_file(path: Path, target: Path) -> None:
    """Write what a frame holds, and never more than it may.

    Raises:
        CorruptSubnetworkError: the frame is damaged, says no size or an implausible one, or holds
            more or less than it says.
        StoreNotWritableError: there is no room for it.
        MissingExtraError: zstandard is not installed.
    """
    zstd = need_zstd()
    try:
        declared = _declared(path, zstd)
        _check_room(target.parent, declared)
        opener, written = zstd.ZstdDecompressor(max_window_size=WINDOW), 0
        with (
            path.open("rb") as source,
            target.open("wb") as out,
            opener.stream_reader(source) as reader,
        ):
            while piece := reader.read(PIECE):
                written += len(piece)
                if written > declared:
                    raise _bad(path, f"more than the {declared:,} bytes that it declares")
                out.write(piece)
    except zstd.ZstdError as error:
        raise _bad(path, f"a damaged zstd frame ({error})") from error
    if written != declared:
        raise _bad(path, f"{written:,} bytes in a zstd frame that declares {declared:,}")


def _declared(path: Path, zstd: Any) -> int:
    """Bytes that the frame says it holds, if that is plausible and the frame is the whole file."""
    size = path.stat().st_size
    with path.open("rb") as source:
        start = source.read(18)
        facts = zstd.get_frame_parameters(start)
        declared = int(facts.content_size)
        if declared in (zstd.CONTENTSIZE_UNKNOWN, zstd.CONTENTSIZE_ERROR):
            raise _bad(path, "a zstd frame that does not say how large its content is")
        if declared > _limit(path):
            raise _bad(path, f"a zstd frame of {declared:,} bytes in {size:,}")
        if facts.window_size > WINDOW:
            raise _bad(path, f"a zstd frame that asks for {facts.window_size:,} bytes of memory")
        end = _frame_end(source, zstd.frame_header_size(start), checksum=facts.has_checksum)
    if end != size:
        raise _bad(path, f"{size:,} bytes, where its zstd frame has {end:,}")
    return declared


def _frame_end(source: BinaryIO, at: int, *, checksum: bool) -> int:
    """Where a frame ends whose blocks begin ``at``: each has 3 bytes of header (RFC 8878, 3.1.1.2):
    1 bit for the last one, 2 for its type (1: a single byte, repeated), 21 for its size."""
    last = False
    while not last:
        source.seek(at)
        header = source.read(3)
        if len(header) < 3:
            return at + 3
        bits = int.from_bytes(header, "little")
        last = bool(bits & 1)
        at += 3 + (1 if (bits >> 1) & 3 == 1 else bits >> 3)
    return at + (4 if checksum else 0)


def _check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise StoreNotWritableError(
            str(folder), got=f"{free:,} bytes free", wanted=f"{wanted:,} bytes",
            remedy="Free some space, or set TMPDIR to another folder.",
        )  # fmt: skip


def _limit(path: Path) -> int:
    return max(SMALL, MOST_GROWTH * path.stat().st_size)


def _bad(path: Path, got: str) -> CorruptSubnetworkError:
    return CorruptSubnetworkError(
        str(path), got=got, wanted="a whole subnetwork file",
        remedy="Download or write the file again: it is damaged or no subnetwork file.",
    )  # fmt: skip
