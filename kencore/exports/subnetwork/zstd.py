"""One zstd frame around a whole file, and opening it without trusting what it says of its size.

The frame is followed by a short one that decoders skip: its sha256. ``zstd -d`` unpacks such files.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from kencore.errors import CorruptSubnetworkError, MissingExtraError, StoreNotWritableError

MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPED = b"\x50\x2a\x4d\x18" + (32).to_bytes(4, "little")
SEAL = len(SKIPPED) + 32  # bytes
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
            "zstd",
            got="the library zstandard is not installed",
            wanted="the extra zstd",
            remedy="Run pip install -e '.[zstd]' in KEN_viz's folder, or use the file that is not compressed.",
        ) from error
    return zstandard


def compress_file(path: Path) -> None:
    """Replace a file by its frame, unless `decompress_file` would refuse so small a one."""
    zstd, size = need_zstd(), path.stat().st_size
    frame = path.with_name(f"{path.name}.zst")
    try:
        packer = zstd.ZstdCompressor(level=LEVEL, write_checksum=True, write_content_size=True)
        with path.open("rb") as source, frame.open("wb") as target:
            packer.copy_stream(source, target, size=size)
        seal = _seal(frame, frame.stat().st_size)
        with frame.open("ab") as target:
            target.write(seal)
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
        with path.open("rb") as source, target.open("wb") as out, opener.stream_reader(source) as reader:
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
    """Bytes that the frame says it holds, if it is whole and that is plausible."""
    size = path.stat().st_size
    with path.open("rb") as source:
        start = source.read(18)
        source.seek(max(0, size - SEAL))
        seal = source.read()
    if size < SEAL or seal != _seal(path, size - SEAL):
        raise _bad(path, "a zstd frame that was changed, or that another program wrote")
    facts = zstd.get_frame_parameters(start)
    declared = int(facts.content_size)
    if declared in (zstd.CONTENTSIZE_UNKNOWN, zstd.CONTENTSIZE_ERROR):
        raise _bad(path, "a zstd frame that does not say how large its content is")
    if declared > _limit(path):
        raise _bad(path, f"a zstd frame of {declared:,} bytes in {size:,}")
    if facts.window_size > WINDOW:
        raise _bad(path, f"a zstd frame that asks for {facts.window_size:,} bytes of memory")
    return declared


def _seal(path: Path, size: int) -> bytes:
    """What follows a frame of ``size`` bytes: a frame that decoders skip (RFC 8878, 3.1.2) with the
    sha256 of it. A frame has bits that no decoder looks at.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size and (piece := file.read(min(PIECE, size))):
            digest.update(piece)
            size -= len(piece)
    return SKIPPED + digest.digest()


def _check_room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise StoreNotWritableError(
            str(folder),
            got=f"{free:,} bytes free",
            wanted=f"{wanted:,} bytes",
            remedy="Free some space, or set TMPDIR to another folder.",
        )


def _limit(path: Path) -> int:
    return max(SMALL, MOST_GROWTH * path.stat().st_size)


def _bad(path: Path, got: str) -> CorruptSubnetworkError:
    return CorruptSubnetworkError(
        str(path),
        got=got,
        wanted="a whole subnetwork file",
        remedy="Download or write the file again: it is damaged or no subnetwork file.",
    )
