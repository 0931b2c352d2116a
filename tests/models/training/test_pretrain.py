import csv

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


def test_a_training_starts_with_a_pretrained_encoder(root, tmp_path):
    fields = plan(root, optimiser={"epochs": 3, "batch": 4, "average": 0.5, "learning_rate": 3e-3})
    pretraining = TrainingConfig.model_validate(fields)
    path = pretrain(pretraining, out=tmp_path / "encoder", progress=QuietProgress())
    assert path == tmp_path / "encoder" / ENCODER_NAME
    with (tmp_path / "encoder" / "log.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 3
    begun = TrainingConfig.model_validate(plan(root, encoder_weights=str(path)))
    card = train(begun, out=tmp_path / "trained", progress=QuietProgress())
    assert card.training.encoder_sha256 is not None


def test_the_loss_on_labels_changes_nothing(root, tmp_path):
    one = pretrain(config(root), out=tmp_path / "one", progress=QuietProgress())
    flipped = plan(root, loss={"cross_entropy": 0.0, "dice": 1.0})
    two = pretrain(
        TrainingConfig.model_validate(flipped), out=tmp_path / "two", progress=QuietProgress()
    )
    first, second = load_file(one), load_file(two)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_does_not_resume_a_pretraining(root, tmp_path):
    pretrain(config(root), out=tmp_path, progress=QuietProgress())
    assert (tmp_path / NAME).is_file()
    with pytest.raises(TrainingInvalid, match="give another --out"):
        train(config(root), out=tmp_path, progress=QuietProgress())
