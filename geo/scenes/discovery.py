"""Files and folders to scenes: opens headers, hashes files, reads a sample to check units."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import shapely
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geo.errors import BandsMissing, BandsUnknown, MissingCRS, UnitsMismatch
from geo.imagery.dataset import (
    Image,
    crs_text,
    footprint,
    gsd_m,
    open_image,
    read_stored,
    unreadable,
)
from geo.imagery.georeferencing import georeference_of, points_note
from geo.imagery.xyz_tiles import TileLevel, check_side, deepest_level, is_tree, side_of
from geo.scenes.metadata import (
    BandNumbers,
    Header,
    backscatter_of,
    band_in_name,
    band_names,
    cloud_cover_of,
    names_of,
    sensor_of,
    taken_at,
)
from geo.scenes.radiometry import RGB, baseline_offset, check_units, colours_of
from geo.scenes.scene import Asset, Phase, Scene, acquisition_key, product_folder
from geo.scenes.sensors import Family, Sensor, Units
from geo.scenes.source import NO_GEOREFERENCE, Georeference, Rows, Source, expanded, files_of
from geo.types import FloatArray
from geo.vector.area_files import Polygonal, polygons_only

_SAMPLE_PX = 512  # side of the sample on which units are checked
_STRIP_ROWS = 16  # rows of the sample read at once
JOINED_FROM = 100
"""Tiles of one source from which on they are joined; fewer stay separate in the product."""


@dataclass(frozen=True)
class _File:
    path: Path  # file, or zoom of a tile tree
    header: Header
    georeference: Georeference
    sensor: Sensor
    bands: BandNumbers
    group: Path  # files of equal group are bands of one scene; its name is the scene's
    crs: str
    footprint: Polygonal
    shape: tuple[int, int]
    sha256: str
    notes: tuple[str, ...]

    @property
    def measured(self) -> BandNumbers:
        """The bands that hold measurements rather than the provider's mask."""
        return tuple(pair for pair in self.bands if pair[0] != self.sensor.quality)

    @property
    def sharpness(self) -> tuple[bool, float, str]:
        """Sorts the sharpest image first, masks last."""
        return not self.measured, self.header.gsd_m, str(self.header.path)


@dataclass(frozen=True)
class _NoBand:
    """A file of a folder that is no band of its sensor: a label, a preview, a probability."""

    path: Path
    error: BandsUnknown | UnitsMismatch
    title: str


def scenes_of(source: Source, phase: Phase) -> tuple[Scene, ...]:
    """Return the scenes of a source, sorted by id.

    Single files of one name and one folder, or of one product, are the bands of one scene.
    A folder's files that are no band of the sensor are left out, and a note says so.

    Raises:
        SourceInvalid: in all its kinds; the message names the file and the cure.
    """
    folder = expanded(Path(source.path))
    paths, zoom_note = _paths(source, folder)
    with ThreadPoolExecutor(max_workers=2) as pool:
        opened = list(pool.map(lambda path: _understand(source, path), paths))
    others = [file for file in opened if isinstance(file, _NoBand)]
    groups: dict[Path, list[_File]] = {}
    for file in opened:
        if isinstance(file, _File):
            groups.setdefault(file.group, []).append(file)
    if not groups:
        raise others[0].error
    notes = (_left_out(others), zoom_note)
    scenes = [_scene(source, phase, group, notes) for group in groups.values()]
    found = _joined(sorted(scenes, key=lambda scene: scene.id, reverse=True), folder.absolute())
    return tuple(sorted(found, key=lambda scene: scene.id))


def _paths(source: Source, folder: Path) -> tuple[tuple[Path, ...], str | None]:
    """Return the files of a source, or the deepest complete zoom of a tile tree and a note."""
    if not (folder.is_dir() and is_tree(folder)):
        return files_of(source), None
    level, note = deepest_level(folder)
    return (level,), note


def _left_out(others: list[_NoBand]) -> str | None:
    if not others:
        return None
    names = ", ".join(file.path.name for file in others[:5])
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return f"left out, being no band of {others[0].title}: {names}{more}"


def _understand(source: Source, path: Path) -> "_File | _NoBand":
    georeference = georeference_of(source, path)
    with open_image(path, georeference) as dataset:
        crs = crs_text(dataset, path)
        header, outline, shape_px = _header(dataset, path), footprint(dataset), dataset.shape
        points = _points_note(dataset, path)
        if isinstance(dataset, DatasetReader):  # it has a georeference of its own
            georeference = NO_GEOREFERENCE
    sensor, sensor_note = sensor_of(source, header)
    if points is not None and sensor.family is not Family.PICTURE:
        raise MissingCRS(
            f"{path} has ground control points only, which place a {sensor.title} image without "
            "its terrain; give the terrain-corrected product, or warp it yourself with `gdalwarp "
            f"-t_srs EPSG:32633 {path.name} georeferenced.tif`"
        )
    is_preview = sensor.family is not Family.PICTURE and set(header.dtypes) == {"uint8"}
    try:
        bands, bands_note = band_names(source, header, sensor)
        _check_depth(header, sensor, bands)
    except (BandsUnknown, UnitsMismatch) as error:
        if source.bands is None and (len(header.data_bands) == 1 or is_preview):
            return _NoBand(path, error, sensor.title)
        raise
    notes = tuple(note for note in (sensor_note, bands_note, *georeference.notes, points) if note)
    return _File(
        path=path,
        header=header,
        georeference=georeference,
        sensor=sensor,
        bands=bands,
        group=_group(path, sensor) if len(header.data_bands) == 1 else header.path,
        crs=crs,
        footprint=outline,
        shape=shape_px,
        sha256=_sha256(path, georeference),
        notes=notes,
    )


def _check_depth(header: Header, sensor: Sensor, bands: BandNumbers) -> None:
    """Refuse 8 bits for a measurement: the product's preview has the bands' names and colours."""
    if any(dtype.startswith("complex") for dtype in header.dtypes):
        raise UnitsMismatch(
            f"{header.path.name} holds complex values, as a single-look complex radar image does; "
            "detect, calibrate and terrain-correct it first"
        )
    is_measured = any(band != sensor.quality for band, _ in bands)
    if is_measured and sensor.family is not Family.PICTURE and "uint8" in header.dtypes:
        raise UnitsMismatch(
            f"{header.path.name} holds 8-bit values, and {sensor.title} is measured in more; it is "
            "a picture of the product: give the product's own bands, or --sensor vhr-rgb"
        )


def _group(path: Path, sensor: Sensor) -> Path:
    """Return what the bands of one scene share: their product's folder, or folder and name."""
    token = band_in_name(path, sensor)
    if token is None:
        return path
    if (product := product_folder(path)) is not None:
        return product
    return path.parent / token[1] if token[1] else path.parent


def _points_note(dataset: Image, path: Path) -> str | None:
    if not isinstance(dataset, WarpedVRT):
        return None
    points, _ = dataset.src_dataset.gcps
    return points_note(points, path.name, unit=dataset.crs.units_factor[0])


def _header(dataset: Image, path: Path) -> Header:
    return Header(
        path=path.parent if isinstance(dataset, TileLevel) else path,  # named like the tree
        descriptions=tuple(dataset.descriptions),
        colours=tuple(colour.name for colour in dataset.colorinterp),
        dtypes=tuple(dataset.dtypes),
        tags={str(key): str(value) for key, value in dataset.tags().items()},
        gsd_m=gsd_m(dataset),
    )


def _sha256(path: Path, georeference: Georeference) -> str:
    """Return the digest of an image and of the georeference beside it."""
    if path.is_dir():
        own = _sha256_of_tiles(path, georeference.rows)
    else:
        status = path.stat()
        own = _sha256_of(path, status.st_size, status.st_mtime_ns, status.st_ino)
    if not georeference.moves:
        return own
    return hashlib.sha256(f"{own} {georeference.sha256}".encode()).hexdigest()


@cache
def _sha256_of(path: Path, *_: int) -> str:
    """Return the digest of a file; it is read once, until its size, time or inode changes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of_tiles(folder: Path, rows: Rows | None) -> str:
    """Return the digest of the tiles of a zoom and their places; each is checked on the way."""
    level, digest = TileLevel(folder, rows=rows), hashlib.sha256()
    for (x, y), name in level.tiles.items():
        content = (folder / name).read_bytes()
        check_side(folder / name, side_of(folder / name, content), level.side_px)
        digest.update(f"{x} {y} {hashlib.sha256(content).hexdigest()} ".encode())
    return digest.hexdigest()


def _scene(source: Source, phase: Phase, files: list[_File], notes: Sequence[str | None]) -> Scene:
    bands = _sharpest_each(files)
    used = sorted({f.header.path: f for f, _, _ in bands}.values(), key=lambda f: f.sharpness)
    first = used[0]
    header, sensor = first.header, first.sensor
    if not first.measured:
        raise BandsMissing(
            f"{header.path} is a mask of {sensor.title} and its image is not "
            "beside it; name the folder that holds both"
        )
    units = source.units or sensor.units
    if source.units is None and units is Units.BITS_8 and header.dtypes[0] == "uint16":
        units = Units.BITS_16
    sample = _sample([file for file in used if file.measured])
    texts = " ".join((header.path.stem, *names_of(header.path)))
    offset, offset_notes = baseline_offset(source, sensor, units=units, name=texts, sample=sample)
    check_units(sample, sensor=sensor, units=units, offset=offset, name=header.path.name)
    taken, time_note = taken_at(source, header)
    concluded = (*(n for file in used for n in file.notes), *offset_notes, *notes, time_note)
    # A group that is a file or a .SAFE loses its ending.
    has_ending = first.group == header.path or first.group.suffix.upper() == ".SAFE"
    name = first.group.stem if has_ending else first.group.name
    measured = [band for file in used for band, _ in file.measured]
    colours = None
    if sensor.family is Family.PICTURE and set(RGB) <= set(measured):
        top = 255.0 if units is Units.BITS_8 else 65_535.0
        colours = colours_of(sample[[measured.index(band) for band in RGB]], top=top)
    return Scene(
        id=name,
        acquisition=acquisition_key(name),
        revision=_revision(file.sha256 for file in used),
        sensor_name=sensor.name,
        phase=phase,
        taken=taken,
        footprint=first.footprint,
        assets=tuple(Asset(band, f.path, index, f.georeference) for f, band, index in bands),
        units=units,
        gsd_m=header.gsd_m,
        crs=first.crs,
        offset=offset,
        cloud_cover=cloud_cover_of(source, header),
        nodata=sensor.nodata,
        backscatter=backscatter_of(source, sensor, [file.header for file in used]),
        colours=colours,
        notes=tuple(dict.fromkeys(note for note in concluded if note)),
    )


def _revision(digests: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()[:16]


def _sharpest_each(files: list[_File]) -> list[tuple[_File, str, int]]:
    """Return file, band and band number, each band from its sharpest file."""
    best: dict[str, tuple[_File, str, int]] = {}
    for file in sorted(files, key=lambda file: file.sharpness):
        for band, index in file.bands:
            there = best.setdefault(band, (file, band, index))[0]
            if there is not file and np.isclose(there.header.gsd_m, file.header.gsd_m, rtol=1e-3):
                raise BandsUnknown(
                    f"{there.header.path.name} and {file.header.path.name} both hold {band} of one "
                    "scene; leave one out"
                )
    return list(best.values())


def _sample(files: list[_File]) -> FloatArray:
    """Return a coarse sample of all bands of a scene, (bands, rows, cols), NaN where missing."""
    rows, cols = (min(side, _SAMPLE_PX) for side in files[0].shape)
    return np.concatenate([_sample_of(file, rows, cols) for file in files])


def _sample_of(file: _File, rows: int, cols: int) -> FloatArray:
    strips = []
    with open_image(file.path, file.georeference) as dataset:
        step = dataset.height / rows
        # In strips, so that GDAL decodes a block once for all bands and then forgets it.
        for top in range(0, rows, _STRIP_ROWS):
            height = min(_STRIP_ROWS, rows - top)
            window = Window(0, top * step, dataset.width, height * step)
            indexes = [index for _, index in file.measured]
            try:
                values, missing = read_stored(dataset, indexes, window=window, shape=(height, cols))
            except RasterioIOError as error:
                raise unreadable(file.path, error) from error
            strips.append(np.where(missing, np.float32(np.nan), values))
    return np.concatenate(strips, axis=1)


def _joined(scenes: Sequence[Scene], path: Path) -> Iterator[Scene]:
    """Yield the scenes of a source, with very many tiles that differ in their place alone made one.

    A product numbers its scenes in eight bits. Each pixel comes from the first tile that holds it.
    """
    groups: dict[tuple[object, ...], list[Scene]] = {}
    for s in scenes:
        alike = s.sensor_name, s.bands, s.units, s.offset, s.taken, s.nodata
        groups.setdefault(alike, []).append(s)
    parts = [part for part in path.parts if not any(mark in part for mark in "*?[")]
    name = Path(*parts).name or "tiles"
    count = 0
    for group in groups.values():
        if len(group) < JOINED_FROM or group[0].sensor.family is not Family.PICTURE:
            count += len(group)
            yield from group
        else:
            count += 1
            yield _one(group, name if count == 1 else f"{name}-{count}")


def _one(tiles: Sequence[Scene], name: str) -> Scene:
    assets = (replace(a, footprint=tile.footprint) for tile in tiles for a in tile.assets)
    return replace(
        min(tiles, key=lambda tile: tile.gsd_m),
        id=name,
        acquisition=acquisition_key(name),
        revision=_revision(tile.revision for tile in tiles),
        footprint=polygons_only(shapely.union_all([tile.footprint for tile in tiles])),
        assets=tuple(assets),
        colours=Counter(tile.colours for tile in tiles).most_common(1)[0][0],
        notes=(
            f"{len(tiles)} tiles of {name} were taken as one image",
            *(note for note in tiles[0].notes if all(note in tile.notes for tile in tiles)),
        ),
    )
