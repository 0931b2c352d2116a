"""Is a TIFF whole? GDAL drops an entry that lies beyond the end of a file, and goes on.

A file that lost its last ten bytes may so lose its nodata value, its mask or its CRS, and keep
every pixel: what was not seen would read as seen. TIFF 6.0, section 2; BigTIFF is libtiff's.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # fmt: skip
"""Size of one value, by the number of its type."""
_MAX_DIRECTORIES = 4096
"""An image, its mask and their overviews are a few dozen; more is a loop."""


@dataclass(frozen=True)
class _Form:
    """How a TIFF writes its directories."""

    count: str
    """`struct` format of the number of entries."""
    entry: str
    """Tag, type, number of values, and the values themselves or where they lie."""
    pointer: str
    """Where the next directory lies, 0 for none."""


def is_whole(path: Path) -> bool:
    """Whether all directories of a TIFF, and all that they point to, lie inside the file.

    Where its pixels lie is left to GDAL, which does not read beyond the end in silence.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            return all(end <= size for end in _ends(file))
        except struct.error:
            return False


def _ends(file: BinaryIO) -> Iterator[int]:
    """Yield where the values of each entry end.

    Raises:
        struct.error: where the file ends within a directory.
    """
    form, at = _form(file)
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MAX_DIRECTORIES:
        seen.add(at)
        file.seek(at)
        (count,) = _read(file, form.count)
        for _ in range(count):
            _, kind, number, value = _read(file, form.entry)
            length = number * _BYTES.get(kind, 0)
            yield 0 if length <= struct.calcsize(form.pointer) else value + length
        (at,) = _read(file, form.pointer)


def _form(file: BinaryIO) -> tuple[_Form, int]:
    """Return how a file is written, and where its first directory lies."""
    order = "<" if file.read(2) == b"II" else ">"
    if _read(file, f"{order}H")[0] == 42:
        form = _Form(f"{order}H", f"{order}HHII", f"{order}I")
    else:
        file.seek(8)
        form = _Form(f"{order}Q", f"{order}HHQQ", f"{order}Q")
    return form, _read(file, form.pointer)[0]


def _read(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))
