"""When a model is better after the labels, and what its card then says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.adaptation.adapt import AdaptedModel, label_record, require_free, write_adapted
from models.adaptation.labels import Labels, read_labels
from models.adaptation.last_layer import grade_probabilities
from models.cards.registry import CardRef, find
from models.damage.network_grader import within
from models.datasets.vocabulary import DAMAGE, FLOOD
from models.errors import NameTaken
from tests.models.adaptation.label_files import area, write_labels
from tests.models.damage.made_card import dark_is_destroyed

WORDS = ["Destroyed", "No visible damage", "No visible damage", "Damaged", None]
SURE = np.array([[0.97, 0.01, 0.01, 0.01], [0.01, 0.01, 0.01, 0.97]])


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    return read_labels(write_labels(tmp_path / "l.gpkg", WORDS), area(), DAMAGE)


@pytest.fixture
def parent(tmp_path: Path) -> CardRef:
    return find(dark_is_destroyed(tmp_path / "parent"))


def adapted(parent: CardRef, labels: Labels, *, better: bool) -> AdaptedModel:
    """Return one whose adapted or whose parent's answers are nearly right."""
    used = labels.labelled
    truth = labels.codes[used]
    right = np.where((truth >= 2)[:, None], SURE[1], SURE[0])
    even = np.full((len(truth), 4), 0.25)
    return AdaptedModel(
        card=parent.card.model_copy(update={"resolution_m": 0.4}),
        weights=None,
        stage="regression",
        used=used,
        truth=truth,
        parent=even if better else right,
        adapted=right if better else even,
    )


def written(parent: CardRef, labels: Labels, out: Path, *, better: bool) -> CardRef:
    found = adapted(parent, labels, better=better)
    record = label_record(labels, found, (), buildings_sha256=None)
    write_adapted(parent, found, record, name="of-here", out=out)
    return find(out)


def test_the_card_names_its_parent_and_its_labels(
    parent: CardRef, labels: Labels, tmp_path: Path
) -> None:
    card = written(parent, labels, tmp_path / "new", better=True).card
    said = card.adaptation
    assert said is not None
    assert (said.parent.name, said.parent.digest) == ("dark-is-destroyed", parent.card.digest)
    assert said.labels.sha256 == labels.sha256
    assert said.labels.counts == {"no-damage": 2, "major-damage": 1, "destroyed": 1}
    assert said.labels.skipped == {"without a label": 1}
    assert (said.stage, said.helped, said.groups) == ("regression", True, 4)
    assert (card.name, card.resolution_m) == ("of-here", 0.4)
    assert "then 4 labels of l.gpkg" in card.trained_on
    # What was measured of the parent was not measured of this one.
    assert card.scores == ()
    assert card.digest != parent.card.digest


def test_a_parent_that_predicts_as_well_keeps_its_numbers(
    parent: CardRef, labels: Labels, tmp_path: Path
) -> None:
    card = written(parent, labels, tmp_path / "new", better=False).card
    assert card.adaptation is not None
    assert (card.adaptation.stage, card.adaptation.helped) == ("none", False)
    assert card.resolution_m == 0.5
    assert "did not make it better" in card.summary
    same = {"name", "summary", "adaptation"}
    assert card.model_dump(exclude=same) == parent.card.model_dump(exclude=same)
    (loss,) = (s for s in card.adaptation.scores if s.measure == "log_loss")
    assert loss.parent is not None and loss.adapted == pytest.approx(np.log(4), abs=1e-4)
    assert loss.parent < loss.adapted


def test_a_network_that_predicts_as_well_keeps_its_weights(tmp_path: Path) -> None:
    ref = find("flood-s1s2")
    words = ["flooded", "dry", "dry"]
    path = write_labels(tmp_path / "l.gpkg", words, column="notation")
    labels = read_labels(path, area(), FLOOD)
    wrong = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    found = AdaptedModel(
        card=ref.card.model_copy(update={"weights_sha256": "0" * 64}), weights=b"other",
        stage="head", used=labels.labelled, truth=labels.codes, parent=1 - wrong, adapted=wrong,
    )  # fmt: skip
    record = label_record(labels, found, (), buildings_sha256=None)
    write_adapted(ref, found, record, name="of-here", out=tmp_path / "new")
    new = find(tmp_path / "new")
    assert new.card.weights_sha256 == ref.card.weights_sha256
    assert new.weights.read_bytes() == ref.weights.read_bytes()


def test_flood_scores_are_of_polygons() -> None:
    ref = find("flood-s1s2")
    yes = np.array([0.9, 0.2, 0.1, 0.3])
    both = np.column_stack([1 - yes, yes])
    truth = np.array([1, 1, 0, 0], np.uint8)
    found = AdaptedModel(ref.card, b"", "head", np.arange(4), truth, both, both)
    scores = {score.measure: score.parent for score in found.scores()}
    # From 0.35 on it is flood: the first polygon is found, the second is missed.
    assert scores["accuracy"] == 0.75
    assert scores["balanced_accuracy"] == 0.75
    assert scores["auc"] == 0.75
    right = [0.9, 0.2, 0.9, 0.7]
    assert scores["log_loss"] == pytest.approx(-np.log(right).mean(), abs=1e-4)
    assert not found.helped
    assert not replace(found, stage="none").helped


def test_grades_are_made_of_steps_as_the_grader_makes_them() -> None:
    rng = np.random.default_rng(0)
    steps = np.sort(rng.random((3, 5, 6)), axis=0)[::-1].astype(np.float32)
    every = np.ones((5, 6), np.int32) * np.arange(1, 2)
    oracle = within(steps, every, count=1)
    np.testing.assert_allclose(
        grade_probabilities(steps.mean(axis=(1, 2), dtype=np.float64)[None]), oracle, atol=1e-6
    )


def test_a_folder_and_a_name_that_are_taken_are_refused(tmp_path: Path) -> None:
    folder = dark_is_destroyed(tmp_path / "there")
    with pytest.raises(NameTaken, match="holds a model already; give another folder with --out"):
        require_free(folder, "new")
    with pytest.raises(NameTaken, match="a shipped model is named 'flood-rgb'; give another"):
        require_free(tmp_path / "new", "flood-rgb")
    require_free(tmp_path / "new", "new")


def test_the_domain_of_an_adapted_model_is_not_its_parent_s(labels: Labels, tmp_path: Path) -> None:
    """Its own event may lie far from that, and a person labelled it."""
    parent = find("damage-features")
    assert all(entry.training_statistics for entry in parent.card.inputs)
    moved, same = (written(parent, labels, tmp_path / str(b), better=b).card for b in (True, False))
    assert not any(entry.training_statistics for entry in moved.inputs)
    assert same.inputs == parent.card.inputs
