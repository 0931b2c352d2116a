"""Row bands of any height come back as they were, and the COG is one by GDAL's own word."""

import hashlib
import resource
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from geo.errors import GridMismatch, MissingCRS, StoreError
from geo.export.cog import (
    BLOCK,
    PROBABILITY,
    RasterKind,
    RowBandWriter,
    class_kind,
    row_bands,
    write_cog,
)
from geo.export.formats import write_rasters
from geo.export.styles import class_colours, rgb
from geo.raster.classify import Label

FLOOD = class_kind("Flooded area")
ORIGIN = RasterKind("origin", ("after", "before"), 0, "nearest")


def grid(rows: int, cols: int) -> GeoBox:
    return GeoBox((rows, cols), Affine(10, 0, 500_000, 0, -10, 4_400_000), "EPSG:32630")


def labels(rows: int, cols: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.choice(np.array([label.value for label in Label], np.uint8), (1, rows, cols))


def scratch(path: Path, pixels: np.ndarray, *, kind: RasterKind, heights: list[int]) -> Path:
    bands, rows, cols = pixels.shape
    with RowBandWriter(path, geobox=grid(rows, cols), kind=kind, bands=bands) as writer:
        for start, stop in zip([0, *np.cumsum(heights)], [*np.cumsum(heights), rows], strict=True):
            writer.write(pixels[:, start:stop])
    return path


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    heights=st.lists(st.integers(0, 700), max_size=5),
    last=st.integers(1, 700),
    cols=st.integers(1, 600),
    read=st.integers(1, 900),
)
def test_row_bands_of_any_height_come_back(
    tmp_path: Path, heights: list[int], last: int, cols: int, read: int
) -> None:
    pixels = np.concatenate([labels(sum(heights) + last, cols)] * 2)
    path = scratch(tmp_path / "s.tif", pixels, kind=ORIGIN, heights=heights)
    bands = list(row_bands(path, rows=read))
    assert all(band.shape[1] == read for band in bands[:-1])
    np.testing.assert_array_equal(np.concatenate(bands, axis=1), pixels)


def test_the_class_cog_is_a_cog_and_names_its_values(tmp_path: Path) -> None:
    pixels = labels(1500, 1300)
    write_cog(
        scratch(tmp_path / "s.tif", pixels, kind=FLOOD, heights=[600, 600]),
        tmp_path / "class.tif",
        kind=FLOOD,
    )
    with rasterio.open(tmp_path / "class.tif") as cog:
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert cog.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
        assert cog.block_shapes == [(BLOCK, BLOCK)]
        assert cog.overviews(1) == [2, 4]
        assert cog.crs.to_epsg() == 32630
        assert cog.transform == grid(1500, 1300).transform
        assert cog.nodata == Label.OUTSIDE
        assert cog.descriptions == ("class",)
        assert cog.tags(1)["VALUE_2"] == "Flooded area"
        assert cog.tags(1)["VALUE_12"] == "Not analysed: cloud"
        for label, colour in class_colours("Flooded area").items():
            assert cog.colormap(1)[label] == (*rgb(colour), 255)
        np.testing.assert_array_equal(cog.read(), pixels)


def test_overviews_of_classes_hold_no_new_class(tmp_path: Path) -> None:
    pixels = np.where(labels(1024, 1024) % 2, 2, 12).astype(np.uint8)
    write_cog(
        scratch(tmp_path / "s.tif", pixels, kind=FLOOD, heights=[]),
        tmp_path / "class.tif",
        kind=FLOOD,
    )
    with rasterio.open(tmp_path / "class.tif", overview_level=0) as overview:
        assert set(np.unique(overview.read())) == {2, 12}


def test_overviews_of_probabilities_are_means_of_what_was_seen(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 101, (2, 1024, 1024)).astype(np.uint8)
    pixels[:, :, :400] = 255
    pixels[:, ::2, :] = 255
    write_cog(
        scratch(tmp_path / "s.tif", pixels, kind=PROBABILITY, heights=[1000]),
        tmp_path / "p.tif",
        kind=PROBABILITY,
    )
    seen = np.ma.masked_equal(pixels, 255).reshape(2, 512, 2, 512, 2).mean(axis=(2, 4))
    with rasterio.open(tmp_path / "p.tif", overview_level=0) as overview:
        means = overview.read(masked=True)
    np.testing.assert_array_equal(means.mask, seen.mask)
    assert np.abs(means.astype(float) - seen).max() <= 0.5
    with rasterio.open(tmp_path / "p.tif") as cog:
        assert cog.nodata == 255
        assert cog.descriptions == PROBABILITY.descriptions


def test_the_same_pixels_make_the_same_bytes(tmp_path: Path) -> None:
    pixels = labels(700, 1100)
    digests = set()
    for name, heights in (("a", []), ("b", [1, 513, 77])):
        folder = tmp_path / name
        folder.mkdir()
        source = scratch(folder / "s.tif", pixels, kind=FLOOD, heights=heights)
        write_rasters(folder, [(source, FLOOD)])
        files = (folder / "rasters" / f"class{end}" for end in (".tif", ".tif.aux.xml", ".qml"))
        digests.add(tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))
    assert len(digests) == 1


def test_a_burnt_area_is_named_and_coloured_as_one() -> None:
    burnt = class_kind("Burnt area")
    assert burnt.categories[Label.EVENT] == "Burnt area"
    assert burnt.colours[Label.EVENT] != FLOOD.colours[Label.EVENT]


@pytest.mark.parametrize("shape", [(1, 10, 99), (2, 10, 100), (1, 101, 100)])
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    with (
        pytest.raises(GridMismatch, match=r"s\.tif has room"),
        RowBandWriter(tmp_path / "s.tif", geobox=grid(100, 100), kind=FLOOD) as writer,
    ):
        writer.write(np.zeros(shape, np.uint8))
    assert not list(tmp_path.iterdir())


def test_other_types_than_bytes_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(GridMismatch, match="float32"),
        RowBandWriter(tmp_path / "s.tif", geobox=grid(100, 100), kind=FLOOD) as writer,
    ):
        writer.write(np.zeros((1, 10, 100), np.float32))


def test_missing_rows_are_refused_and_nothing_stays(tmp_path: Path) -> None:
    with (
        pytest.raises(GridMismatch, match="10 rows, its grid has 100"),
        RowBandWriter(tmp_path / "s.tif", geobox=grid(100, 100), kind=FLOOD) as writer,
    ):
        writer.write(np.zeros((10, 100), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_grid_without_crs_is_refused(tmp_path: Path) -> None:
    geobox = GeoBox((10, 10), Affine.identity(), None)
    with pytest.raises(MissingCRS):
        RowBandWriter(tmp_path / "s.tif", geobox=geobox, kind=FLOOD)


def test_two_readers_can_be_read_side_by_side(tmp_path: Path) -> None:
    one = scratch(tmp_path / "1.tif", labels(900, 50), kind=FLOOD, heights=[])
    two = scratch(tmp_path / "2.tif", labels(900, 50), kind=FLOOD, heights=[])
    for a, b in zip(row_bands(one, rows=100), row_bands(two, rows=100), strict=True):
        np.testing.assert_array_equal(a, b)


def _write_with_little_room(folder: Path) -> None:
    """Exit 0 where both files fail with one sentence and leave nothing behind."""
    pixels = np.random.default_rng(1).integers(1, 256, (1, 1024, 1024)).astype(np.uint8)
    source = scratch(folder / "source.tif", pixels, kind=ORIGIN, heights=[])
    # The last two leave room for every tile but not for the directory, or for all but the
    # end of the last block, which GDAL writes in silence when it closes.
    for room in (100, 300_000, 1024 * 1024 - 1, 1024 * 1024):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        with pytest.raises(StoreError, match="free space"):
            scratch(folder / "s.tif", pixels, kind=ORIGIN, heights=[600])
        with pytest.raises(StoreError, match="free space"):
            write_cog(source, folder / "p.tif", kind=ORIGIN)
        assert [path.name for path in folder.iterdir()] == ["source.tif"]


def test_a_disk_that_fills_leaves_no_file(tmp_path: Path) -> None:
    child = get_context("forkserver").Process(
        target=_write_with_little_room, args=(tmp_path,), daemon=True
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
