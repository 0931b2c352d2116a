"""Files and folders to scenes: opens headers, hashes files, reads a sample to check units."""

import hashlib
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import rasterio
import shapely
from pyproj import Geod, Transformer
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.warp import transform_geom
from shapely.geometry import Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

from geo.antimeridian import cut, unwrap
from geo.errors import BandsMissing, MissingCRS, SceneUnreadable
from geo.radiometry import check_units, sentinel2_offset
from geo.raster import FloatArray
from geo.recognise import Header, band_in_name, band_names, sensor_of, taken_at
from geo.scene import Asset, Phase, Scene
from geo.sensors import Sensor, Units
from geo.source import Source, files_of

_MAGIC = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff",
    b"II+\0": "GTiff", b"MM\0+": "GTiff",  # BigTIFF
    b"\0\0\0\x0c": "JP2OpenJPEG", b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}  # fmt: skip
"""Driver by the first four bytes: whatever its ending says, a file is opened as one of these
only. A VRT, for one, could name any file of the machine as its pixels."""

_S1_UNIQUE_ID = r"(S1[A-D]_.+)_[0-9A-F]{4}($|_)"
_S2_REVISION = r"(S2[A-D]_MSIL[12][AC]_\d{8}T\d{6})_N\d{4}(_R\d{3}_T\w{5})_\d{8}T\d{6}"
_SAMPLE_PX = 512
"""Side of the sample that units are checked on."""


@dataclass(frozen=True)
class _File:
    """An opened and understood file."""

    header: Header
    sensor: Sensor
    bands: tuple[tuple[str, int], ...]
    key: str
    """Files of equal key are bands of one scene."""
    crs: str
    footprint: BaseGeometry
    sha256: str
    notes: tuple[str, ...]

    @property
    def measured(self) -> list[int]:
        """Numbers of the bands that hold measurements rather than the provider's mask."""
        return [index for band, index in self.bands if band != self.sensor.quality]


def _sharpness(file: _File) -> tuple[float, str]:
    return file.header.gsd_m, str(file.header.path)


def scenes_of(source: Source, phase: Phase) -> tuple[Scene, ...]:
    """Return the scenes of a source, sorted by id.

    Raises:
        SourceInvalid: in all its kinds; the message names the file and the cure.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        files = list(pool.map(lambda path: _understand(source, path), files_of(source)))
    groups: dict[str, list[_File]] = {}
    for file in files:
        groups.setdefault(file.key, []).append(file)
    return tuple(_scene(source, phase, groups[key]) for key in sorted(groups))


def distinct_ids(scenes: Iterable[Scene]) -> tuple[Scene, ...]:
    """Return the scenes with ids that are unique: a shared name gains its folder, then its phase.

    `before/image.tif` and `after/image.tif` become `before-image` and `after-image`.
    """
    by_folder = _renamed(tuple(scenes), lambda scene: f"{scene.paths[0].parent.name}-{scene.id}")
    return _renamed(by_folder, lambda scene: f"{scene.phase}-{scene.id}")


def _renamed(scenes: tuple[Scene, ...], rename: Callable[[Scene], str]) -> tuple[Scene, ...]:
    ids = [scene.id for scene in scenes]
    return tuple(
        replace(scene, id=rename(scene)) if ids.count(scene.id) > 1 else scene for scene in scenes
    )


def _understand(source: Source, path: Path) -> _File:
    with open_image(path) as dataset:
        crs = _crs_of(dataset, path)
        header = _header(dataset, path)
        footprint = _footprint(dataset)
    sensor, sensor_note = sensor_of(source, header)
    names = band_names(source, header, sensor)
    token = band_in_name(path, sensor) if len(header.data_bands) == 1 else None
    notes = tuple(note for note in (sensor_note, names.note) if note)
    return _File(
        header=header,
        sensor=sensor,
        bands=names.names,
        key=str(path.parent / token[1]) if token else str(path.with_suffix("")),
        crs=crs,
        footprint=footprint,
        sha256=_sha256(path),
        notes=notes,
    )


def open_image(path: Path) -> DatasetReader:
    """Open an image file as the kind that its first bytes say.

    Raises:
        SceneUnreadable: where it is no raster, or a damaged one.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if magic not in _MAGIC:
        found = "it is empty" if not magic else "its first bytes are of another kind"
        raise SceneUnreadable(
            f"{path} is not a GeoTIFF or JPEG 2000 image ({found}); give the image itself"
        )
    try:
        return rasterio.open(path, driver=_MAGIC[magic])
    except RasterioIOError as error:
        raise SceneUnreadable(
            f"{path} begins like an image and cannot be opened: it is truncated or damaged "
            f"({error}); fetch it again or leave it out"
        ) from error


def _crs_of(dataset: DatasetReader, path: Path) -> str:
    if dataset.crs is None:
        has = "ground control points only" if dataset.gcps[0] else "no coordinate reference system"
        raise MissingCRS(
            f"{path} has {has}; give it one, for example with "
            f"`gdalwarp -t_srs EPSG:32633 {path.name} georeferenced.tif` for control points or "
            f"`gdal_edit.py -a_srs EPSG:32633 {path.name}` where only the code is missing"
        )
    authority = dataset.crs.to_authority()
    return ":".join(authority) if authority else str(dataset.crs.to_wkt())


def _header(dataset: DatasetReader, path: Path) -> Header:
    return Header(
        path=path,
        descriptions=tuple(dataset.descriptions),
        colours=tuple(colour.name for colour in dataset.colorinterp),
        dtypes=tuple(dataset.dtypes),
        tags={str(key): str(value) for key, value in dataset.tags().items()},
        gsd_m=_gsd_m(dataset),
    )


def _gsd_m(dataset: DatasetReader) -> float:
    """Return the ground distance between pixel centres down the middle column, metres."""
    row, col = dataset.height / 2, dataset.width / 2
    corners = [dataset.transform * point for point in ((col, row), (col, row + 1))]
    to_lonlat = Transformer.from_crs(dataset.crs, "EPSG:4326", always_xy=True)
    (lon0, lat0), (lon1, lat1) = (to_lonlat.transform(*corner) for corner in corners)
    return float(Geod(ellps="WGS84").inv(lon0, lat0, lon1, lat1)[2])


def _footprint(dataset: DatasetReader) -> BaseGeometry:
    """Return the extent of the pixels in lon-lat, its edges followed in their own CRS."""
    rows, cols = dataset.shape
    corners = [dataset.transform * c for c in ((0, 0), (cols, 0), (cols, rows), (0, rows))]
    outline = shape({"type": "Polygon", "coordinates": [[*corners, corners[0]]]})
    outline = outline.segmentize(max(outline.length / 200, 1e-9))
    lonlat = shape(transform_geom(dataset.crs, "EPSG:4326", mapping(outline)))
    return cut(Polygon(unwrap(shapely.get_coordinates(lonlat))))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _scene(source: Source, phase: Phase, files: list[_File]) -> Scene:
    sharpest = min((file for file in files if file.measured), key=_sharpness, default=None)
    if sharpest is None:
        raise BandsMissing(
            f"{files[0].header.path} is a mask of {files[0].sensor.title} and its image is not "
            "beside it; name the folder that holds both"
        )
    header, sensor = sharpest.header, sharpest.sensor
    units = source.units or _stored_units(sensor, sharpest)
    name = Path(sharpest.key).name
    sample = read_sample(sharpest.header.path, sharpest.measured)
    offset, note = sentinel2_offset(
        source, sensor, name=_provider_names(header.path), sample=sample
    )
    check_units(sample, sensor=sensor, units=units, offset=offset, name=header.path.name)
    return Scene(
        id=name,
        acquisition=_acquisition_key(name),
        revision=_revision(files),
        sensor_name=sensor.name,
        phase=phase,
        taken=taken_at(source, header),
        footprint=sharpest.footprint,
        assets=tuple(
            Asset(band, file.header.path, index) for file in files for band, index in file.bands
        ),
        units=units,
        gsd_m=header.gsd_m,
        crs=sharpest.crs,
        offset=offset,
        cloud_cover=source.cloud_cover,
        nodata=sensor.nodata,
        notes=tuple(dict.fromkeys([*(n for file in files for n in file.notes), *note])),
    )


def _stored_units(sensor: Sensor, file: _File) -> Units:
    """Return the sensor's own units; a picture's follow from the type of its pixels."""
    if sensor.units is Units.BITS_8 and file.header.dtypes[0] == "uint16":
        return Units.BITS_16
    return sensor.units


def _provider_names(path: Path) -> str:
    return " ".join((path.stem, *(parent.name for parent in path.parents[:4])))


def read_sample(path: Path, indexes: list[int]) -> FloatArray:
    """Return a coarse look at the bands, (bands, rows, cols) float32, NaN where declared nodata.

    Raises:
        SceneUnreadable: where the file breaks off or is damaged.
    """
    with open_image(path) as dataset:
        shape_px = tuple(min(side, _SAMPLE_PX) for side in dataset.shape)
        try:
            pixels = dataset.read(indexes, out_shape=(len(indexes), *shape_px), masked=True)
        except RasterioIOError as error:
            raise unreadable(path, error) from error
    sample: FloatArray = pixels.astype("float32").filled(float("nan"))
    return sample


def unreadable(path: Path, error: Exception) -> SceneUnreadable:
    """Return the error for a file whose pixels cannot be decoded."""
    cause = error.__cause__ or error
    return SceneUnreadable(
        f"{path} opens and its pixels cannot be decoded: it is truncated or damaged ({cause}); "
        "fetch it again or leave it out"
    )


def _revision(files: list[_File]) -> str:
    joined = "".join(sorted(file.sha256 for file in files))
    return hashlib.sha256(joined.encode()).hexdigest()[:16]


def _acquisition_key(name: str) -> str:
    """Return a name that revisions of one acquisition share.

    Sentinel-1 product names end in a unique id of four hex digits, Sentinel-2's hold the
    baseline and the discriminator time: neither tells acquisitions apart.
    """
    key = re.sub(r"(?i)(S1[A-D]_.+)_[0-9A-F]{4}(?=$|_)", r"\1", name)
    key = re.sub(
        r"(?i)(S2[A-D]_MSIL[12][AC]_\d{8}T\d{6})_N\d{4}(_R\d{3}_T\w{5})_\d{8}T\d{6}", r"\1\2", key
    )
    slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
    if len(slug) <= 64:
        return slug or "scene"
    return f"{slug[:51]}-{hashlib.sha256(slug.encode()).hexdigest()[:12]}"
