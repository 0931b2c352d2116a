"""Georeference of images that lack it: world files, .prj, a CRS of the user, control points."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio.crs
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import GCPTransformer
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geo.errors import MissingCRS, SourceInvalid
from geo.scenes.source import Georeference, Source, beside, world_file

_ESRI_CRS_BYTES = 1_000_000  # a .prj is a line or two; what is larger is something else


def georeference_of(source: Source, path: Path) -> Georeference:
    """Return the georeference that the user and the files beside an image give."""
    world, prj = world_file(path), beside(path, (".prj",))
    crs = _crs_given(source.crs) if source.crs is not None else None
    notes = [f"{path.name} is georeferenced by {world.name}"] if world else []
    if crs is None and prj is not None:
        crs = _of_prj(prj)
        notes.append(f"{prj.name} gives the coordinate reference system of {path.name}")
    transform = _read_world(world) if world else None
    return Georeference(crs, transform, source.rows, tuple(notes))


def _read_world(path: Path) -> Affine:
    """Return the transform of a world file: six numbers, the last two of a pixel's centre."""
    try:
        numbers = [float(word) for word in path.read_text("ascii")[:10_000].split()]
        a, d, b, e, c, f = numbers
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SourceInvalid(
            f"{path} is no world file: it should hold six numbers, the size and the turn of a "
            "pixel and the centre of the first one; export it again"
        ) from error
    transform = Affine(a, b, c, d, e, f) @ Affine.translation(-0.5, -0.5)
    if transform.is_degenerate:
        raise SourceInvalid(f"{path} gives a pixel no area; export it again")
    return transform


def _crs_given(crs: str) -> str:
    try:
        return _named(CRS.from_user_input(crs))
    except CRSError as error:
        raise MissingCRS(
            f"--source-crs {crs} is not known; give a code, such as EPSG:32633"
        ) from error


def _of_prj(path: Path) -> str:
    try:
        return _named(CRS.from_wkt(path.read_text("utf-8")[:_ESRI_CRS_BYTES]))
    except (OSError, UnicodeDecodeError, CRSError) as error:
        raise MissingCRS(
            f"{path} names no coordinate reference system that is known; give it with "
            "--source-crs EPSG:32633, say"
        ) from error


def _named(crs: CRS) -> str:
    """Return the authority code of a CRS where it has one, else its WKT."""
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.to_wkt()


_FEWEST_POINTS = 3  # a plane, the lowest polynomial of GDAL's, goes through three


class PlacedImage:
    """A dataset with a CRS or a transform that it does not state itself; else as it is."""

    def __init__(
        self, dataset: DatasetReader, *, crs: rasterio.crs.CRS | None, transform: Affine
    ) -> None:
        self._dataset = dataset
        self.crs: Any = crs  # None until it is checked, as of any dataset
        self.transform = transform

    @classmethod
    def of(
        cls, dataset: DatasetReader, georeference: Georeference
    ) -> "DatasetReader | PlacedImage":
        """Return a dataset with what it lacks; the dataset itself where that is nothing."""
        crs, transform = dataset.crs, dataset.transform
        if crs is None and georeference.crs is not None:
            crs = rasterio.crs.CRS.from_user_input(georeference.crs)
        if transform == Affine.identity() and georeference.transform is not None:
            transform = georeference.transform
        if (crs, transform) == (dataset.crs, dataset.transform):
            return dataset
        return cls(dataset, crs=crs, transform=transform)

    def window_transform(self, window: Window) -> Affine:
        """Return the transform of a window."""
        return self.transform @ Affine.translation(window.col_off, window.row_off)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._dataset.close()


def by_control_points(dataset: DatasetReader, path: Path, *, crs: str | None) -> WarpedVRT:
    """Return an image warped by its ground control points, in their own CRS, else in `crs`.

    GDAL fits a polynomial, of first order up to five points and of second order from six on;
    what lies outside of the picture is transparent.
    """
    points, own = dataset.gcps
    if own is None and crs is None:
        raise MissingCRS(
            f"{path} has ground control points without a coordinate reference system; give it "
            "with --source-crs, such as EPSG:32633"
        )
    if not _span_a_plane(points):
        raise MissingCRS(
            f"{path} has {len(points)} ground control points, and at least {_FEWEST_POINTS} that "
            "do not lie on one line are needed to place it; add some, for example with QGIS's "
            "Georeferencer"
        )
    there = own or rasterio.crs.CRS.from_user_input(crs)
    has_alpha = ColorInterp.alpha in dataset.colorinterp
    try:
        return WarpedVRT(
            dataset, src_crs=there, crs=there, resampling=Resampling.bilinear,
            add_alpha=not has_alpha,
        )  # fmt: skip
    except RasterioError as error:
        raise MissingCRS(
            f"the ground control points of {path} place it nowhere ({error}); correct them"
        ) from error


def points_note(points: Sequence[GroundControlPoint], name: str, *, unit: str) -> str:
    """Return how points placed an image, and how far, in `unit`, the polynomial leaves them."""
    with GCPTransformer(list(points)) as fitted:
        x, y = fitted.xy([p.row for p in points], [p.col for p in points], offset="ul")
    off = np.hypot(np.subtract(x, [p.x for p in points]), np.subtract(y, [p.y for p in points]))
    return (
        f"{name} was placed by a polynomial through its {len(points)} ground control points, which "
        f"it leaves by at most {off.max():.2g} {unit}: ground above or below them lies elsewhere"
    )


def _span_a_plane(points: Sequence[GroundControlPoint]) -> bool:
    """Whether points lie on one line neither in the image nor on the ground."""
    if len(points) < _FEWEST_POINTS:
        return False
    for pairs in ([(p.col, p.row) for p in points], [(p.x, p.y) for p in points]):
        centred = np.array(pairs) - np.mean(pairs, axis=0)
        spread = np.linalg.svd(centred, compute_uv=False)
        if spread[1] < 1e-3 * spread[0]:
            return False
    return True
