import csv
import hashlib

import pytest
import torch
from safetensors.torch import load_file

from flows.reports.progress import QuietProgress
from models.errors import TrainingInvalid
from models.training.augment import Augmenter
from models.training.config import Augmentation, InputSubset, TrainingConfig
from models.training.dataset import Layout, Tile
from models.training.loop import NAME
from models.training.pretrain import ENCODER_NAME, HiddenError, HideSquares, pretrain
from models.training.train import train
from tests.models.datasets.made import write_ombria
from tests.models.training.plans import config, plan

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    numbers = [20 * group + number for group in range(6) for number in (1, 2)]
    return write_ombria(tmp_path_factory.mktemp("ombria"), numbers)


def test_squares_are_hidden_in_all_bands_and_scored(root):
    inputs = config(root).card.inputs
    observed = torch.ones(3, 64, 64, dtype=torch.bool)
    observed[:, :, :20] = False
    values = torch.rand(4, 64, 64) + 1
    channels = torch.cat([values * observed[0], observed.float()]).half()
    tile = Tile(channels, observed, observed[:1], torch.ones(1, 64, 64, dtype=torch.bool))
    every = InputSubset(inputs=tuple(entry.name for entry in inputs), weight=1)
    layout = Layout.of(inputs, availability=True)
    torch.manual_seed(1)
    hide = HideSquares(Augmenter(inputs, layout, Augmentation(flips=False), (every,), 64), bands=4)
    holed, whole, scored = hide(tile)
    torch.testing.assert_close(whole, channels[:4].float())
    assert not holed[:, scored[0]].any()
    assert not scored[0, :, :20].any()
    left = ~scored[0] & observed[0]
    torch.testing.assert_close(holed[:4, left], whole[:, left])
    assert 0.3 < scored[0, :, 20:].float().mean() < 0.7
    # Whole squares: nothing of one can be observed.
    assert scored[0, :16, 32:48].float().mean() in (0, 1)


def test_only_hidden_pixels_are_scored():
    whole, prediction = torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4)
    scored = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    assert HiddenError()(prediction, whole, scored) == 0
    scored[..., 0, 0] = True
    prediction[..., 0, 0] = 3
    assert HiddenError()(prediction, whole, scored) == 3


@pytest.fixture(scope="module")
def pretrained(root, tmp_path_factory):
    """The folder of a pretraining."""
    out = tmp_path_factory.mktemp("encoder")
    assert pretrain(config(root), out=out, progress=QuietProgress()) == out / ENCODER_NAME
    return out


def test_a_training_starts_with_a_pretrained_encoder(root, pretrained, tmp_path):
    with (pretrained / "log.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2
    fields = plan(root, encoder_weights=str(pretrained / ENCODER_NAME))
    fields["optimiser"] |= {"epochs": 1}
    config_with = TrainingConfig.model_validate(fields)
    card = train(config_with, out=tmp_path / "trained", progress=QuietProgress())
    digest = hashlib.sha256((pretrained / ENCODER_NAME).read_bytes()).hexdigest()
    assert card.training.encoder_sha256 == digest


def test_the_loss_on_labels_changes_nothing(root, pretrained, tmp_path):
    other = TrainingConfig.model_validate(plan(root, loss={"cross_entropy": 0.0, "dice": 1.0}))
    first = load_file(pretrained / ENCODER_NAME)
    second = load_file(pretrain(other, out=tmp_path, progress=QuietProgress()))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_does_not_resume_a_pretraining(root, pretrained):
    assert (pretrained / NAME).is_file()
    with pytest.raises(TrainingInvalid, match="give another --out"):
        train(config(root), out=pretrained, progress=QuietProgress())
