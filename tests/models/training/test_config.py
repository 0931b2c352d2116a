import json
from pathlib import Path

import pytest

from models.cards.registry import find
from models.errors import TrainingInvalid
from models.training.config import at_root, is_regression_config, read_config
from tests.models.training.plans import config, plan

PROJECT = Path(__file__).parents[3]
TRAINING = PROJECT / "models" / "training"
SHIPPED = sorted(path for path in TRAINING.glob("*.toml") if not is_regression_config(path))


def written(folder, fields):
    path = folder / "config.json"
    path.write_text(json.dumps(fields))
    return path


def test_the_root_of_the_data_is_relative_to_the_config(tmp_path):
    fields = plan(Path("tiles"))
    assert read_config(written(tmp_path, fields)).data.root == tmp_path / "tiles"


def test_encoder_weights_are_relative_to_the_config(tmp_path):
    fields = plan(Path("tiles"), encoder_weights="encoders")
    assert read_config(written(tmp_path, fields)).encoder_weights == tmp_path / "encoders"


def test_the_digest_follows_what_changes_the_weights_and_not_words_or_places(tmp_path):
    one = config(tmp_path)
    assert at_root(one, Path("elsewhere")).digest == one.digest
    words = plan(tmp_path)["card"] | {"limits": ["Other words."], "version": "0.2.0"}
    assert config(tmp_path, card=words).digest == one.digest
    assert config(tmp_path, card=words | {"overlap_px": 24}).digest != one.digest
    assert config(tmp_path, seed=4).digest != one.digest
    # What is said and is the default anyway, as a field that comes later is, changes nothing.
    said = plan(tmp_path)["augmentation"] | {"flips": True, "without_event": 0.0}
    assert config(tmp_path, augmentation=said).digest == one.digest


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_configs_can_be_read(path):
    assert read_config(path).card.name == path.stem


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_config_is_the_one_that_its_network_was_trained_by(path):
    trained = find(path.stem).card.training
    assert trained.config_sha256 == read_config(path).digest
    assert trained.epochs == read_config(path).optimiser.epochs


@pytest.mark.data
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_data_of_a_shipped_config_lies_beside_the_project(path, data_dir):
    root = read_config(path).data.root
    upwards, name = root.parts.count(".."), root.name
    assert root.parts[-3:-1] == ("shared", "data")
    assert upwards == len(TRAINING.relative_to(PROJECT).parts) + 1
    assert (data_dir / name).is_dir()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tile_px": 33}, "tiles of 33 px are no multiple of the stride 8"),
        ({"subsets": [{"inputs": ["s3"], "weight": 1}]}, "a subset names s3; the inputs are"),
        ({"subsets": [{"inputs": ["s1-before"], "weight": 1}]},
         "the subset s1-before has no image after the event; add one of s1-after, s2-after"),
        ({"augmentation": {"without_event": 0.1}},
         "without_event needs both dates of every sensor, and s2-after has one"),
        ({"device": "tpu"}, "device: "),
        ({"sed": 3}, "sed: Extra inputs"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(tmp_path, change, said):
    with pytest.raises(TrainingInvalid, match=said):
        read_config(written(tmp_path, plan(tmp_path, **change)))


@pytest.mark.parametrize("text", ["{", "[]", "= 3"])
def test_a_file_that_is_no_config_is_said_so(tmp_path, text):
    for name in ("config.json", "config.toml"):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(TrainingInvalid, match=name):
            read_config(path)
    with pytest.raises(TrainingInvalid, match="cannot be read"):
        read_config(tmp_path / "missing.toml")
