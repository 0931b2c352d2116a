"""Names of files and folders: the band, the time and the product that they tell."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

from geo.sensors import Sensor

_PARENTS = 5
"""Folders above a file that are asked: in a .SAFE of Sentinel-2 the image lies five deep."""

_TIME = re.compile(r"(?<!\d)((?:19|20)\d{6})T(\d{6})(?!\d)", re.IGNORECASE)
_DATE = re.compile(r"(?<!\d)((?:19|20)\d{6})(?!\d)")

_BANDS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # Sentinel-1 SAFE: s1a-iw-grd-vv-20190917t175506-...-001, whose last number counts bands
        r"(?P<before>s1[a-d]-\w\w-\w{3})-(?P<band>v[vh])(?P<after>-.+)-\d{3}",
        r"((?P<before>.*?)[_\-])?(SR_)?(?P<band>BAND\d|B\d+|QA_PIXEL)(?P<after>)",
        r"((?P<before>.*)[_\-])?(?P<band>[A-Z0-9]+)(?P<after>)",
    )
)
_NO_BAND = re.compile(r"(_[126]0m|\.rtc)$", re.IGNORECASE)
"""Resolution of Sentinel-2, processing of Sentinel-1: after the band, and no part of it."""

_S1 = r"(S1[A-D]_\w\w_GRD\w_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_\d{6}_[0-9A-F]{6})_[0-9A-F]{4}"
_S2 = r"(S2[A-D]_MSIL[12][AC]_\d{8}T\d{6})(?:_N\d{4})?(_R\d{3}_T\w{5})_\d{8}T\d{6}"
_PRODUCT = re.compile(rf"({_S1}(_rtc)?|{_S2})(\.SAFE)?", re.IGNORECASE)
"""Whole product names: Sentinel-1 Product Definition S1-RS-MDA-52-7440, 4.1; Sentinel-2 Products
Specification S2-PDGS-TAS-DI-PSD, 3.4.1. The catalogues leave the baseline out."""


def names_of(path: Path) -> tuple[str, ...]:
    """Return the file's name, and those of the folders above it that may tell of it."""
    return (path.name, *(parent.name for parent in path.parents[:_PARENTS]))


def product_folder(path: Path) -> Path | None:
    """Return the folder of one whole product that a file lies in, or None."""
    folders = path.parents[:_PARENTS]
    return next((folder for folder in folders if _PRODUCT.fullmatch(folder.name)), None)


def band_in_name(path: Path, sensor: Sensor) -> tuple[str, str] | None:
    """Return (common name, stem without the band) where a file name tells a band, or None.

    The providers' `_B04_10m`, `B04`, `_SR_B4`, `_sr_band4`, `-vv-`, `iw-vv.rtc` and `_VV` are
    all understood; the stem is empty where the name is the band alone.
    """
    stem = _NO_BAND.sub("", path.stem)
    for pattern in _BANDS:
        if (match := pattern.fullmatch(stem)) and (name := sensor.band_of(match["band"])):
            return name, (match["before"] or "") + match["after"]
    return None


def time_in(name: str) -> datetime | None:
    """Return the first time, or else the first date, in a name, UTC; None where there is none."""
    times = (_parsed("".join(match.groups()), "%Y%m%d%H%M%S") for match in _TIME.finditer(name))
    dates = (_parsed(match.group(1), "%Y%m%d") for match in _DATE.finditer(name))
    return next((found for found in (*times, *dates) if found is not None), None)


def _parsed(digits: str, form: str) -> datetime | None:
    """Return the time, or None where digits that look like a date are none."""
    try:
        return datetime.strptime(digits, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def acquisition_key(name: str) -> str:
    """Return a name that revisions of one acquisition share, [a-z0-9-].

    Sentinel-1 product names end in a unique id of four hex digits, Sentinel-2's hold the
    baseline and the discriminator time: neither tells acquisitions apart.
    """
    key = re.sub(_S1, r"\1", name, flags=re.IGNORECASE)
    key = re.sub(_S2, r"\1\2", key, flags=re.IGNORECASE)
    slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    if len(slug) <= 64:
        return slug or "scene"
    return f"{slug[:51]}-{hashlib.sha256(slug.encode()).hexdigest()[:12]}"
