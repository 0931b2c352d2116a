import numpy as np
import pytest
import rasterio

from models.datasets.catalog import Kind, SetOptions, open_set
from models.errors import DataInvalid
from tests.models.datasets.made import RNG, write_chip, write_image, write_ombria

NUMBERS = ("02", "03", "04", "08")

pytestmark = pytest.mark.filterwarnings(
    "ignore::rasterio.errors.NotGeoreferencedWarning"  # the tiles of the sources lie nowhere
)


def test_ombria_tiles_are_read_by_name_as_decibels_and_reflectance(tmp_path):
    root = write_ombria(tmp_path, [7, 45])
    labelled = open_set(Kind.OMBRIA, root, split="train")
    assert [len(labelled), labelled.groups] == [2, ("000", "002")]
    tile = labelled[1]
    with rasterio.open(root / "OmbriaS2/train/AFTER/S2_after_0045.png") as dataset:
        stored = dataset.read()
    seen = tile.images["s2-after"]
    assert seen.bands == ("swir16", "nir", "green")
    np.testing.assert_allclose(seen.pixels, stored / 255, rtol=1e-6)
    radar = tile.images["s1-before"].pixels
    assert radar.min() >= -25
    assert radar.max() <= 0
    with rasterio.open(root / "OmbriaS1/train/MASK/S1_mask_0045.png") as dataset:
        np.testing.assert_array_equal(tile.target, dataset.read(1) == 255)
    assert all(path.is_file() for path in labelled.files)


def test_a_black_optical_pixel_of_ombria_was_not_observed(tmp_path):
    root = write_ombria(tmp_path, [1])
    path = root / "OmbriaS2/train/AFTER/S2_after_0001.png"
    values = RNG.integers(1, 200, (3, 32, 32)).astype(np.uint8)
    values[:, 4, 5] = 0
    values[0, 6, 7] = 0
    write_image(path, values)
    valid = open_set(Kind.OMBRIA, root, split="train")[0].images["s2-after"].valid
    assert np.argwhere(~valid).tolist() == [[4, 5]]


@pytest.mark.parametrize("distributed", [False, True])
def test_a_sen1floods11_chip_is_read_from_both_layouts(tmp_path, distributed):
    write_chip(tmp_path, "Spain_1", distributed=distributed)
    write_chip(tmp_path, "Ghana_2", distributed=distributed)
    (tmp_path / "flood_test_data.csv").write_text("Spain_1_S1Hand.tif,Spain_1_LabelHand.tif\n")
    assert open_set(Kind.SEN1FLOODS11, tmp_path).groups == ("Ghana", "Spain")
    (chip,) = open_set(Kind.SEN1FLOODS11, tmp_path, split="test")
    with rasterio.open(next(tmp_path.rglob("Spain_1_LabelHand.tif"))) as dataset:
        labels = dataset.read(1)
    with rasterio.open(next(tmp_path.rglob("Spain_1_S2Hand.tif"))) as dataset:
        green = dataset.read(3)
    np.testing.assert_array_equal(chip.known, labels >= 0)
    np.testing.assert_array_equal(chip.target, labels == 1)
    np.testing.assert_allclose(chip.images["s2-after"].band("green"), green / 10000, rtol=1e-6)


@pytest.mark.parametrize("distributed", [False, True])
def test_a_chip_of_on_cloud_n_is_read_from_both_layouts(tmp_path, distributed):
    bands = RNG.integers(1, 9000, (4, 12, 15)).astype(np.uint16)
    label = RNG.integers(0, 2, (1, 12, 15)).astype(np.uint8)
    label[0, 3, 4] = 255
    bands[2, 5, 6] = 0
    names = [f"train_features/adwp/B{n}.tif" if distributed else f"adwp_B{n}.tif" for n in NUMBERS]
    for name, values in zip(names, bands, strict=True):
        write_image(tmp_path / name, values[None], nodata=0)
    name = "train_labels/adwp.tif" if distributed else "adwp_label.tif"
    write_image(tmp_path / name, label, nodata=255)
    labelled = open_set(Kind.ON_CLOUD_N, tmp_path)
    (chip,) = labelled
    image = chip.images["image"]
    assert image.bands == ("blue", "green", "red", "nir")
    assert abs(image.geobox.resolution.x) == 10
    np.testing.assert_allclose(image.pixels[:, 0], bands[:, 0] / 10_000, rtol=1e-6)
    assert np.argwhere(~image.valid).tolist() == [[5, 6]]
    assert np.argwhere(~chip.known).tolist() == [[3, 4]]
    np.testing.assert_array_equal(chip.target, label[0] == 1)
    assert all(path.is_file() for path in labelled.files)


def test_on_cloud_n_has_no_splits_and_is_no_empty_folder(tmp_path):
    with pytest.raises(DataInvalid, match=r"holds neither train_labels/\*\.tif nor"):
        open_set(Kind.ON_CLOUD_N, tmp_path)
    with pytest.raises(DataInvalid, match="the split all and no other, not 'test'"):
        open_set(Kind.ON_CLOUD_N, tmp_path, split="test")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif"])
def test_pairs_of_every_format(tmp_path, ending):
    for stem in ("2", "10"):
        values = RNG.integers(0, 255, (3, 12, 20)).astype(np.uint8)
        write_image(tmp_path / "images" / f"{stem}.{ending}", values)
        mask = RNG.integers(0, 2, (1, 12, 20)).astype(np.uint8)
        write_image(tmp_path / "masks" / f"{stem}.png", mask * 255)
    first = open_set(Kind.PAIRS, tmp_path)[0]
    assert first.name == "2"
    assert first.images["image"].bands == ("red", "green", "blue")
    with rasterio.open(tmp_path / "images" / f"2.{ending}") as dataset:
        np.testing.assert_array_equal(first.images["image"].pixels, dataset.read())
    with rasterio.open(tmp_path / "masks/2.png") as dataset:
        np.testing.assert_array_equal(first.target, dataset.read(1) > 0)


def test_alpha_and_nodata_are_not_observed(tmp_path):
    values = np.full((4, 8, 8), 90, np.uint8)
    values[3] = 255
    values[3, 2, 3] = 0
    write_image(tmp_path / "images/a.png", values)
    nodata = np.full((3, 8, 8), 90, np.uint8)
    nodata[1, 5, 6] = 7
    write_image(tmp_path / "images/b.tif", nodata, nodata=7)
    for stem in "ab":
        write_image(tmp_path / f"masks/{stem}.png", np.zeros((1, 8, 8), np.uint8))
    pairs = open_set(Kind.PAIRS, tmp_path)
    assert np.argwhere(~pairs[0].images["image"].valid).tolist() == [[2, 3]]
    assert np.argwhere(~pairs[1].images["image"].valid).tolist() == [[5, 6]]
    assert np.isnan(pairs[0].images["image"].pixels[:, 2, 3]).all()


def test_reflectance_of_pairs_is_made_physical(tmp_path):
    values = RNG.integers(100, 4000, (2, 8, 8)).astype(np.int16)
    write_image(tmp_path / "images/1.tif", values)
    write_image(tmp_path / "masks/1.png", np.zeros((1, 8, 8), np.uint8))
    options = SetOptions(sensor="landsat-c1-sr", bands=("green", "nir"))
    pairs = open_set(Kind.PAIRS, tmp_path, options=options)
    np.testing.assert_allclose(pairs[0].images["image"].pixels, values / 10000, rtol=1e-6)


def spoil_nothing(root):
    pass


def lose_an_image(root):
    (root / "images/1.png").unlink()


def shrink_a_mask(root):
    write_image(root / "masks/1.png", np.zeros((1, 4, 8), np.uint8))


def grey_mask(root):
    write_image(root / "masks/1.png", np.full((1, 8, 8), 128, np.uint8))


def add_a_band(root):
    write_image(root / "images/1.png", np.zeros((1, 8, 8), np.uint8))


def write_text(root):
    (root / "images/1.png").write_text("no image")


def cut_short(root):
    path = root / "images/1.png"
    path.write_bytes(path.read_bytes()[:40])


def disguise(root):
    (root / "images/1.png").write_text("<VRTDataset rasterXSize='1' rasterYSize='1'/>")


def double_a_stem(root):
    write_image(root / "images/1.tif", np.zeros((3, 8, 8), np.uint8))


@pytest.mark.parametrize(
    ("spoil", "split", "said"),
    [
        (lose_an_image, "all", r"1 is in .*masks and not in .*images"),
        (shrink_a_mask, "all", r"has 8 by 8 pixels, .* has 4 by 8"),
        (grey_mask, "all", "holds 128; a mask holds 0 and 255"),
        (add_a_band, "all", r"has 1 bands, 3 are expected \(red, green, blue\)"),
        (write_text, "all", "is no PNG, JPEG or GeoTIFF"),
        (cut_short, "all", "cannot be read as a PNG"),
        (disguise, "all", "is no PNG, JPEG or GeoTIFF"),
        (double_a_stem, "all", "share a stem"),
        (spoil_nothing, "test", "pairs have the splits all and fold-0-of-5"),
        (spoil_nothing, "fold-5-of-5", "there is no fold 5 of 5"),
        (spoil_nothing, "fold-0-of-9", "2 groups of neighbours do not make 9 folds"),
    ],
)
def test_pairs_that_cannot_be_used_are_said_so(tmp_path, spoil, split, said):
    for stem in "12":
        write_image(tmp_path / f"images/{stem}.png", np.full((3, 8, 8), 9, np.uint8))
        write_image(tmp_path / f"masks/{stem}.png", np.zeros((1, 8, 8), np.uint8))
    spoil(tmp_path)
    with pytest.raises(DataInvalid, match=said):
        list(open_set(Kind.PAIRS, tmp_path, split=split))


def test_groups_of_pairs_can_come_from_a_file(tmp_path):
    for stem in ("1", "2", "9"):
        write_image(tmp_path / "images" / f"{stem}.png", RNG.integers(0, 9, (3, 8, 8), np.uint8))
        write_image(tmp_path / "masks" / f"{stem}.png", RNG.integers(0, 1, (1, 8, 8), np.uint8))
    listed = tmp_path / "groups.csv"
    listed.write_text("stem,group\n1,a\n9,a\n2,b\n", "utf-8")
    labelled = open_set(Kind.PAIRS, tmp_path, options=SetOptions(groups=listed))
    assert labelled.groups == ("a", "b", "a")
    assert labelled[2].group == "a"
    assert listed in labelled.files
    listed.write_text("stem,group\n1,a\n", "utf-8")
    with pytest.raises(DataInvalid, match=r"names no group for 2 \(2 are without one\)"):
        open_set(Kind.PAIRS, tmp_path, options=SetOptions(groups=listed))
    listed.write_text("name,place\n1,a\n", "utf-8")
    with pytest.raises(DataInvalid, match="CSV with the columns stem and group"):
        open_set(Kind.PAIRS, tmp_path, options=SetOptions(groups=listed))


@pytest.mark.parametrize(
    ("kind", "split", "said"),
    [
        (Kind.OMBRIA, "all", "the splits train, test, not 'all'"),
        (Kind.OMBRIA, "train", "holds no OmbriaS1/train/MASK"),
        (Kind.SEN1FLOODS11, "all", r"holds no \*_LabelHand.tif"),
        (Kind.PAIRS, "all", "holds no PNG, JPEG or GeoTIFF"),
    ],
)
def test_an_empty_folder_is_said_so(tmp_path, kind, split, said):
    with pytest.raises(DataInvalid, match=said):
        open_set(kind, tmp_path, split=split)


def test_a_chip_that_is_listed_and_not_there_is_said_so(tmp_path):
    write_chip(tmp_path, "Spain_1")
    (tmp_path / "flood_test_data.csv").write_text("Ghana_2_S1Hand.tif,Ghana_2_LabelHand.tif\n")
    with pytest.raises(
        DataInvalid, match="lacks 3 files of the 1 chips of the split test, Ghana_2_LabelHand"
    ):
        open_set(Kind.SEN1FLOODS11, tmp_path, split="test")
    with pytest.raises(DataInvalid, match="the splits all, train, valid, test, bolivia, not 'x'"):
        open_set(Kind.SEN1FLOODS11, tmp_path, split="x")


@pytest.mark.data
@pytest.mark.parametrize(
    ("kind", "folder", "split", "count", "positive"),
    [
        (Kind.OMBRIA, "ombria", "train", 624, 0.33),
        (Kind.OMBRIA, "ombria", "test", 70, 0.33),
        (Kind.SEN1FLOODS11, "sen1floods11", "all", 1, 0.27),
        (Kind.PAIRS, "flood_area", "all", 229, 0.41),
    ],
)
def test_the_sources_own_layouts(data_dir, kind, folder, split, count, positive):
    """Counts and shares of positives as their table in the data's README says."""
    labelled = open_set(kind, data_dir / folder, split=split)
    assert len(labelled) == count
    some = [labelled[index] for index in range(0, count, max(1, count // 40))]
    assert np.mean([sample.target.mean() for sample in some]) == pytest.approx(positive, abs=0.07)
