"""Photos for tests, all made: what a camera writes down is written by the test."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" {said}/></rdf:RDF></x:xmpmeta>'
)
NADIR = {"RelativeAltitude": "+100.0", "GimbalPitchDegree": "-90.0", "GimbalYawDegree": "+30.0",
         "GimbalRollDegree": "+0.00"}  # fmt: skip
"""What DJI writes of a camera that looks straight down."""


def colours(rows: int = 60, cols: int = 80) -> np.ndarray:
    """Return (rows, cols, 3) with red that grows to the right and green downwards."""
    y, x = np.mgrid[:rows, :cols]
    return np.stack([20 + 2 * x, 20 + 3 * y, np.full_like(x, 90)], axis=-1).astype(np.uint8)


def photo(
    path: Path,
    pixels: np.ndarray | None = None,
    *,
    lonlat: tuple[float, float] | None = None,
    said: dict[str, str] | None = None,
    focal_35mm: int | None = 24,
    orientation: int = 1,
    **options: Any,
) -> Path:
    """Write a photo with what its camera says, and return its path."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Made for a test"
    exif[ExifTags.Base.Orientation] = orientation
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2024:06:18 09:30:00"
    if focal_35mm is not None:
        details[ExifTags.Base.FocalLengthIn35mmFilm] = focal_35mm
    if lonlat is not None:
        gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
        for tag, angle, sides in ((2, lonlat[1], "NS"), (4, lonlat[0], "EW")):
            gps[tag - 1] = sides[angle < 0]
            degrees, minutes = divmod(abs(angle) * 60, 60)
            gps[tag] = (degrees, float(int(minutes)), minutes % 1 * 60)
    if said is not None:
        words = " ".join(f'drone-dji:{key}="{value}"' for key, value in said.items())
        options["xmp"] = XMP.format(said=words).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours() if pixels is None else pixels).save(path, exif=exif, **options)
    return path
