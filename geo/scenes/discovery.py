"""Files and folders to scenes: opens headers, hashes files, reads a sample to check units.

Joined: a folder of very many tiles of one flight as one scene.

A product numbers its scenes in eight bits, and nobody reads a list of thousands. Tiles that differ
in nothing but their place, as surveys and map servers deliver them, are one image cut into pieces.

A coarse look at a file, whose memory does not follow its size.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
    Header,
    acquisition_key,
    backscatter_of,
    band_in_name,
    band_names,
    names_of,
    product_folder,
    sensor_of,
    taken_at,
)
from geo.scenes.radiometry import RGB, Colours, check_units, colours_of, sentinel2_offset
from geo.scenes.scene import Asset, Phase, Scene
from geo.scenes.sensors import Family, Sensor, Units
from geo.scenes.source import NO_GEOREFERENCE, Georeference, Rows, Source, expanded, files_of
from geo.types import FloatArray
from geo.vector.area_files import Polygonal, polygons_only

_STRIP_ROWS = 16
"""Rows of the sample read at once."""


def read_sample(
    path: Path,
    indexes: list[int],
    shape_px: tuple[int, int],
    georeference: Georeference = NO_GEOREFERENCE,
) -> FloatArray:
    """Return a coarse look at the bands, (bands, rows, cols) float32, NaN where missing.

    Raises:
        SceneUnreadable: where the file breaks off or is damaged.
    """
    rows, cols = shape_px
    with open_image(path, georeference) as dataset:
        step = dataset.height / rows
        try:
            # In strips, so that GDAL decodes a block once for all bands and then forgets it.
            strips = [
                read_stored(
                    dataset,
                    indexes,
                    window=Window(0, top * step, dataset.width, height * step),
                    shape=(height, cols),
                )
                for top in range(0, rows, _STRIP_ROWS)
                for height in (min(_STRIP_ROWS, rows - top),)
            ]
        except RasterioIOError as error:
            raise unreadable(path, error) from error
    looks = [np.where(missing, np.float32(np.nan), values) for values, missing in strips]
    return np.concatenate(looks, axis=1)


JOINED_FROM = 100
"""Tiles of one source from which on they are joined; fewer stay separate in the product."""


def joined(scenes: Sequence[Scene], name: str) -> tuple[Scene, ...]:
    """Return the scenes of a source, with very many alike made one.

    Pictures are alike that share sensor, bands, units and time. Each pixel of the one scene comes
    from the first of them that saw it.

    Args:
        scenes: of one source and phase, in the order in which their pixels are taken.
        name: of the source, which the scene is called.
    """
    groups: dict[tuple[object, ...], list[Scene]] = {}
    for scene in scenes:
        groups.setdefault(_kind(scene), []).append(scene)
    out: list[Scene] = []
    for group in groups.values():
        whole = len(group) >= JOINED_FROM and group[0].sensor.family is Family.PICTURE
        out += [_one(group, _called(name, len(out)))] if whole else group
    return tuple(out)


def name_of(path: Path) -> str:
    """Return what the tiles of a folder or a glob are called together."""
    parts = [part for part in path.parts if not any(mark in part for mark in "*?[")]
    return Path(*parts).name or "tiles"


def _called(name: str, before: int) -> str:
    return f"{name}-{before + 1}" if before else name


def _kind(scene: Scene) -> tuple[object, ...]:
    return scene.sensor_name, scene.bands, scene.units, scene.offset, scene.taken, scene.nodata


def _one(tiles: Sequence[Scene], name: str) -> Scene:
    revisions = "".join(sorted(tile.revision for tile in tiles))
    sharpest = min(tiles, key=lambda tile: tile.gsd_m)
    colours = Counter(tile.colours for tile in tiles).most_common(1)[0][0]
    return replace(
        sharpest,
        id=name,
        acquisition=acquisition_key(name),
        revision=hashlib.sha256(revisions.encode()).hexdigest()[:16],
        footprint=polygons_only(shapely.union_all([tile.footprint for tile in tiles])),
        assets=tuple(_assets(tiles)),
        colours=colours,
        notes=(
            f"{len(tiles)} tiles of {name} were taken as one image",
            *dict.fromkeys(_shared_notes(tiles)),
        ),
    )


def _assets(tiles: Iterable[Scene]) -> Iterable[Asset]:
    for tile in tiles:
        yield from (replace(asset, footprint=tile.footprint) for asset in tile.assets)


def _shared_notes(tiles: Sequence[Scene]) -> Iterable[str]:
    """Return the notes that all tiles have, and of the others how many have any."""
    counts = Counter(note for tile in tiles for note in set(tile.notes))
    yield from (note for note, count in counts.items() if count == len(tiles))
    own = sum(any(counts[note] < len(tiles) for note in tile.notes) for tile in tiles)
    if own:
        first = next(n for tile in tiles for n in tile.notes if counts[n] < len(tiles))
        yield f"{own} of the tiles have notes of their own, such as: {first}"


_SAMPLE_PX = 512
"""Side of the sample that units are checked on."""


@dataclass(frozen=True)
class _File:
    """An opened and understood file."""

    path: Path
    """Of the file, or of the zoom of a tile tree."""
    header: Header
    georeference: Georeference
    sensor: Sensor
    bands: tuple[tuple[str, int], ...]
    group: Path
    """Files of equal group are bands of one scene; its name is the scene's."""
    crs: str
    footprint: Polygonal
    shape: tuple[int, int]
    sha256: str
    notes: tuple[str, ...]

    @property
    def measured(self) -> list[int]:
        """Numbers of the bands that hold measurements rather than the provider's mask."""
        return [index for band, index in self.bands if band != self.sensor.quality]

    @property
    def sharpness(self) -> tuple[bool, float, str]:
        """Sorts the sharpest image first, masks last."""
        return not self.measured, self.header.gsd_m, str(self.header.path)


@dataclass(frozen=True)
class _NoBand:
    """A file of a folder that is none of its sensor's bands: a label, a preview, a probability."""

    path: Path
    why: BandsUnknown | UnitsMismatch
    title: str
    """Of the sensor."""


def scenes_of(source: Source, phase: Phase) -> tuple[Scene, ...]:
    """Return the scenes of a source, sorted by id.

    Single files of one name and one folder, or of one product, are the bands of one scene.
    A folder's files that are no band of the sensor are left out, and a note says so.

    Raises:
        SourceInvalid: in all its kinds; the message names the file and the cure.
    """
    paths, passed = _paths(source)
    with ThreadPoolExecutor(max_workers=2) as pool:
        opened = list(pool.map(lambda path: _understand(source, path), paths))
    files = [file for file in opened if isinstance(file, _File)]
    others = [file for file in opened if isinstance(file, _NoBand)]
    if not files:
        raise others[0].why
    groups: dict[Path, list[_File]] = {}
    for file in files:
        groups.setdefault(file.group, []).append(file)
    notes = (*_left_out(others), *passed)
    scenes = [_scene(source, phase, groups[key], notes) for key in sorted(groups)]
    name = name_of(expanded(Path(source.path)).absolute())
    found = joined(sorted(scenes, key=lambda scene: scene.id, reverse=True), name)
    return tuple(sorted(found, key=lambda scene: scene.id))


def _paths(source: Source) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the files of a source, of a tile tree its deepest complete zoom, and notes on it."""
    folder = expanded(Path(source.path))
    if not (folder.is_dir() and is_tree(folder)):
        return files_of(source), ()
    level, note = deepest_level(folder)
    return (level,), (note,) if note else ()


def _left_out(others: list[_NoBand]) -> tuple[str, ...]:
    if not others:
        return ()
    names = ", ".join(file.path.name for file in others[:5])
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return (f"left out, being no band of {others[0].title}: {names}{more}",)


def _understand(source: Source, path: Path) -> "_File | _NoBand":
    georeference = georeference_of(source, path)
    with open_image(path, georeference) as dataset:
        crs = crs_text(dataset, path)
        header, outline, shape_px = _header(dataset, path), footprint(dataset), dataset.shape
        points = _points_note(dataset, path)
        if isinstance(dataset, DatasetReader):  # it lies where it says itself
            georeference = NO_GEOREFERENCE
    sensor, sensor_note = sensor_of(source, header)
    if points is not None and sensor.family is not Family.PICTURE:
        raise MissingCRS(
            f"{path} has ground control points only, which place a {sensor.title} image without "
            "its terrain; give the terrain-corrected product, or warp it yourself with `gdalwarp "
            f"-t_srs EPSG:32633 {path.name} georeferenced.tif`"
        )
    try:
        names = band_names(source, header, sensor)
        _check_depth(header, sensor, names.names)
    except (BandsUnknown, UnitsMismatch) as error:
        if source.bands is not None or not _is_beside(header, sensor):
            raise
        return _NoBand(path, error, sensor.title)
    notes = tuple(note for note in (sensor_note, names.note, *georeference.notes, points) if note)
    return _File(
        path=path,
        header=header,
        georeference=georeference,
        sensor=sensor,
        bands=names.names,
        group=_group(path, sensor) if len(header.data_bands) == 1 else header.path,
        crs=crs,
        footprint=outline,
        shape=shape_px,
        sha256=_sha256(path, georeference),
        notes=notes,
    )


def _is_beside(header: Header, sensor: Sensor) -> bool:
    """Whether a file that is no band may be something beside them: a mask, or a preview."""
    is_preview = sensor.family is not Family.PICTURE and set(header.dtypes) == {"uint8"}
    return len(header.data_bands) == 1 or is_preview


def _check_depth(header: Header, sensor: Sensor, bands: tuple[tuple[str, int], ...]) -> None:
    """Refuse 8 bits for a measurement: the product's preview has the bands' names and colours."""
    if any(dtype.startswith("complex") for dtype in header.dtypes):
        raise UnitsMismatch(
            f"{header.path.name} holds complex values, as a single-look complex radar image does; "
            "detect, calibrate and terrain-correct it first"
        )
    measured = [band for band, _ in bands if band != sensor.quality]
    if measured and sensor.family is not Family.PICTURE and "uint8" in header.dtypes:
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
    """Return how an image was placed by its control points, None where it was not."""
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
    """Return the digest of an image and of what is georeference of its position."""
    own = _sha256_of_tiles(path, georeference.rows) if path.is_dir() else _sha256_of(path)
    if not georeference.moves:
        return own
    return hashlib.sha256(f"{own} {georeference.sha256}".encode()).hexdigest()


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of_tiles(folder: Path, rows: Rows | None) -> str:
    """Return the digest of the tiles of a zoom and their places; each is looked at on the way.

    Raises:
        SourceInvalid: in all its kinds, of the first tile that cannot be used.
    """
    level, digest = TileLevel(folder, rows=rows), hashlib.sha256()
    for (x, y), name in level.tiles.items():
        content = (folder / name).read_bytes()
        check_side(folder / name, side_of(folder / name, content), level.side_px)
        digest.update(f"{x} {y} {hashlib.sha256(content).hexdigest()} ".encode())
    return digest.hexdigest()


def _scene(source: Source, phase: Phase, files: list[_File], notes: tuple[str, ...]) -> Scene:
    bands = _sharpest_each(files)
    used = sorted({file.header.path: file for file, _, _ in bands}.values(), key=_by_sharpness)
    sharpest = used[0]
    header, sensor = sharpest.header, sharpest.sensor
    if not sharpest.measured:
        raise BandsMissing(
            f"{header.path} is a mask of {sensor.title} and its image is not "
            "beside it; name the folder that holds both"
        )
    units = source.units or _stored_units(sensor, sharpest)
    sample = _sample([file for file in used if file.measured])
    names = " ".join((header.path.stem, *names_of(header.path)))
    offset, offset_notes = sentinel2_offset(source, sensor, units=units, name=names, sample=sample)
    check_units(sample, sensor=sensor, units=units, offset=offset, name=header.path.name)
    taken, time_note = taken_at(source, header)
    backscatter = backscatter_of(source, sensor, [file.header for file in used])
    concluded = (*(n for file in used for n in file.notes), *offset_notes, *notes, time_note)
    name = _name_of(sharpest)
    return Scene(
        id=name,
        acquisition=acquisition_key(name),
        revision=_revision(used),
        sensor_name=sensor.name,
        phase=phase,
        taken=taken,
        footprint=sharpest.footprint,
        assets=tuple(Asset(band, f.path, index, f.georeference) for f, band, index in bands),
        units=units,
        gsd_m=header.gsd_m,
        crs=sharpest.crs,
        offset=offset,
        cloud_cover=source.cloud_cover,
        nodata=sensor.nodata,
        backscatter=backscatter,
        colours=_colours(used, units, sample),
        notes=tuple(dict.fromkeys(note for note in concluded if note)),
    )


def _by_sharpness(file: _File) -> tuple[bool, float, str]:
    return file.sharpness


def _name_of(file: _File) -> str:
    """Return the scene's name: a group that is a file or a .SAFE loses its ending."""
    is_named = file.group == file.header.path or file.group.suffix.upper() == ".SAFE"
    return file.group.stem if is_named else file.group.name


def _sharpest_each(files: list[_File]) -> list[tuple[_File, str, int]]:
    """Return file, band and band number, each band from its sharpest file.

    Raises:
        BandsUnknown: where two files of one resolution hold the same band.
    """
    best: dict[str, tuple[_File, str, int]] = {}
    for file in sorted(files, key=_by_sharpness):
        for band, index in file.bands:
            there = best.setdefault(band, (file, band, index))[0]
            if there is not file and np.isclose(there.header.gsd_m, file.header.gsd_m, rtol=1e-3):
                raise BandsUnknown(
                    f"{there.header.path.name} and {file.header.path.name} both hold {band} of one "
                    "scene; leave one out"
                )
    return list(best.values())


def _stored_units(sensor: Sensor, file: _File) -> Units:
    """Return the sensor's own units; a picture's follow from the type of its pixels."""
    if sensor.units is Units.BITS_8 and file.header.dtypes[0] == "uint16":
        return Units.BITS_16
    return sensor.units


def _sample(files: list[_File]) -> FloatArray:
    """Return a coarse look at all bands of a scene, (bands, rows, cols), NaN where missing."""
    rows, cols = (min(side, _SAMPLE_PX) for side in files[0].shape)
    return np.concatenate(
        [read_sample(f.path, f.measured, (rows, cols), f.georeference) for f in files]
    )


def _colours(used: list[_File], units: Units, sample: FloatArray) -> Colours | None:
    """Return the colours of a picture that is one file with red, green and blue."""
    names = [band for file in used for band, _ in file.bands if band != file.sensor.quality]
    if used[0].sensor.family is not Family.PICTURE or not set(RGB) <= set(names):
        return None
    top = 255.0 if units is Units.BITS_8 else 65_535.0
    return colours_of(sample[[names.index(band) for band in RGB]], top=top)


def _revision(files: list[_File]) -> str:
    joined = "".join(sorted(file.sha256 for file in files))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]
