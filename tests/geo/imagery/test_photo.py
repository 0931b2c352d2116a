"""What is read of a photo, and where it is said to lie; all photos are made."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyproj import Geod
from shapely.geometry import Point, Polygon

from geo.errors import BandsUnknown, SceneUnreadable
from geo.imagery.photo import footprint_of, is_of_camera, read_photo, why_no_footprint
from tests.photos import NADIR, colours, photo

DHAKA = (90.3889, 23.7639)
GEOD = Geod(ellps="WGS84")


def corners_m(area: Polygon, around: tuple[float, float]) -> np.ndarray:
    """Return the corners of a footprint, (4, 2), metres east and north of a place."""
    lon, lat = np.array(area.exterior.coords)[:4].T
    azimuth, _, distance = GEOD.inv(*(np.full(4, v) for v in around), lon, lat)
    return np.column_stack(
        [distance * np.sin(np.radians(azimuth)), distance * np.cos(np.radians(azimuth))]
    )


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    stored = colours()
    for orientation, upright in ((1, stored), (6, np.rot90(stored, -1)), (3, stored[::-1, ::-1])):
        path = photo(tmp_path / f"{orientation}.png", stored, orientation=orientation)
        np.testing.assert_array_equal(read_photo(path).pixels, upright)


def test_what_is_transparent_or_black_was_not_seen(tmp_path: Path) -> None:
    pixels = np.dstack([colours(), np.full((60, 80), 255, np.uint8)])
    pixels[:10, :, 3] = 0
    pixels[-5:, :, :3] = 0
    valid = read_photo(photo(tmp_path / "x.png", pixels)).valid
    assert not valid[:10].any()
    assert not valid[-5:].any()
    assert valid[10:-5].all()


def test_the_time_is_the_cameras(tmp_path: Path) -> None:
    assert read_photo(photo(tmp_path / "x.jpg")).taken == "2024-06-18T09:30:00"


def test_only_a_photo_names_its_camera(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "preview.jpg")
    assert is_of_camera(photo(tmp_path / "x.jpg"))
    assert not is_of_camera(tmp_path / "preview.jpg")


def test_a_photo_straight_down_has_a_footprint(tmp_path: Path) -> None:
    """Height 100 m, 24 mm: a diagonal of 100 x 43.267 / 24 = 180.3 m, turned by 30 degrees."""
    pose = read_photo(photo(tmp_path / "x.jpg", lonlat=DHAKA, said=NADIR)).pose
    assert pose is not None
    assert pose.lonlat == pytest.approx(DHAKA, abs=1e-6)
    area = footprint_of(pose)
    assert area is not None
    corners = corners_m(area, DHAKA)
    width, height = 180.28 * 0.8, 180.28 * 0.6
    turn = np.radians(30)
    right, up = np.array([np.cos(turn), -np.sin(turn)]), np.array([np.sin(turn), np.cos(turn)])
    wanted = [x * width / 2 * right + y * height / 2 * up
              for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]  # fmt: skip
    np.testing.assert_allclose(corners, wanted, atol=0.2)


def test_a_tilt_moves_the_footprint_where_the_camera_looks(tmp_path: Path) -> None:
    said = {**NADIR, "GimbalPitchDegree": "-82", "GimbalYawDegree": "90"}
    pose = read_photo(photo(tmp_path / "x.jpg", lonlat=DHAKA, said=said)).pose
    assert pose is not None
    area = footprint_of(pose)
    assert area is not None
    assert area.contains(Point(DHAKA))
    assert corners_m(area, DHAKA)[:, 0].mean() > 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"GimbalPitchDegree": "-45"}, "it is oblique"),
        ({"GimbalPitchDegree": "-79.9"}, "it is oblique"),
        ({"RelativeAltitude": "-3.0"}, "not above the ground"),
        ({"GimbalRollDegree": "20"}, "rolled by 20"),
        ({"RelativeAltitude": ""}, "does not record its height above ground"),
        ({"GimbalYawDegree": ""}, "does not record its yaw"),
    ],
)
def test_no_footprint_is_made_up(tmp_path: Path, change: dict[str, str], words: str) -> None:
    pose = read_photo(photo(tmp_path / "x.jpg", lonlat=DHAKA, said={**NADIR, **change})).pose
    assert pose is not None
    assert footprint_of(pose) is None
    assert words in str(why_no_footprint(pose))


def test_without_a_focal_length_only_the_camera_is_placed(tmp_path: Path) -> None:
    path = photo(tmp_path / "x.jpg", lonlat=DHAKA, said=NADIR, focal_35mm=None)
    pose = read_photo(path).pose
    assert pose is not None
    assert "focal length" in str(why_no_footprint(pose))


@pytest.mark.parametrize("lonlat", [None, (0.0, 0.0)])
def test_a_camera_without_a_fix_is_nowhere(
    tmp_path: Path, lonlat: tuple[float, float] | None
) -> None:
    assert read_photo(photo(tmp_path / "x.jpg", lonlat=lonlat, said=NADIR)).pose is None


def test_south_and_west_are_negative(tmp_path: Path) -> None:
    pose = read_photo(photo(tmp_path / "x.jpg", lonlat=(-70.5, -33.25))).pose
    assert pose is not None
    assert pose.lonlat == pytest.approx((-70.5, -33.25))


def test_what_is_no_photo_is_refused(tmp_path: Path) -> None:
    whole = photo(tmp_path / "x.jpg", colours(600, 800)).read_bytes()
    broken = {"cut": whole[: len(whole) // 2], "empty": b"", "page": b"<html>login</html>",
              "head": whole[:300]}  # fmt: skip
    for name, content in broken.items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(content)
        with pytest.raises(SceneUnreadable, match=rf"{name}\.jpg cannot be read.*fetch it again"):
            read_photo(path)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_grey_photo_is_refused(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(colours()).convert("L").convert(mode)
    grey.save(tmp_path / "x.png")
    with pytest.raises(BandsUnknown, match=r"x\.png .*red, green and blue"):
        read_photo(tmp_path / "x.png")
