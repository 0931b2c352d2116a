"""Grader: what gives each building the probabilities of its grades."""

from typing import Protocol, runtime_checkable

from geo.types import Float64Array, FloatArray, Int32Array
from models.cards.architecture import NetworkArchitecture, RegressionArchitecture
from models.cards.card import ModelCard
from models.cards.inputs import Task
from models.cards.registry import CardRef
from models.damage.regression import RegressionGrader
from models.errors import InputsMismatch


class Grader(Protocol):
    """A model of the task damage."""

    @property
    def card(self) -> ModelCard:
        """What it wants, and what is known of it."""
        ...

    def grade(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> FloatArray:
        """Return calibrated probabilities of the four grades of xBD, float32 (count, 4).

        A row is NaN where it has no answer: the building is too small, or was not seen. Never
        read that as "no damage".

        Args:
            before: (3, rows, cols) float32, brightness 0 to 255 in red, green and blue, NaN
                where unseen, at the card's `resolution_m`.
            after: the same place on the same grid.
            buildings: (rows, cols) int32, 0 none, k the k-th building.
            count: how many buildings there are.

        Raises:
            InputsMismatch: where the arrays are of different shapes.
        """
        ...


@runtime_checkable
class Comparing(Protocol):
    """A grader that says how far buildings lie from those that it learned from."""

    def grade_and_compare(
        self, before: FloatArray, after: FloatArray, buildings: Int32Array, *, count: int
    ) -> tuple[FloatArray, Float64Array]:
        """Return the probabilities of `Grader.grade` and deviations, (count, features).

        See `models.damage.regression.deviations`.

        Raises:
            InputsMismatch: where the arrays are of different shapes.
        """
        ...


@runtime_checkable
class Finder(Protocol):
    """A grader that finds the buildings itself."""

    @property
    def card(self) -> ModelCard:
        """What it wants, and what is known of it."""
        ...

    def probabilities(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """Return calibrated probabilities of its card's classes, (classes, rows, cols).

        The first is a building, the others that one there would be so bad or worse. NaN where
        one of the images was not seen.
        """
        ...


def load_finder(ref: CardRef, *, device: str = "auto") -> Finder:
    """Return the finder of a card; see `load_grader`.

    Raises:
        InputsMismatch: where the model finds no buildings.
    """
    grader = load_grader(ref, device=device)
    if isinstance(grader, Finder):
        return grader
    raise InputsMismatch(
        f"{ref.card.name} grades buildings and finds none itself; name a model that does, such as "
        "damage-vhr"
    )


def load_grader(ref: CardRef, *, device: str = "auto") -> Grader:
    """Return the grader of a card.

    Args:
        ref: a card and its folder, as `models.cards.registry.find` returns it.
        device: "auto", "cpu", "cuda" or "cuda:N"; the regression runs on the CPU whatever it is.

    Raises:
        InputsMismatch: where the model grades no buildings.
        WeightsMismatch: where the weights of a network are not the card's.
        DeviceMissing: where the device is not there.
        CardInvalid: where the card asks for a network that cannot be built.
    """
    architecture = ref.card.architecture
    if isinstance(architecture, RegressionArchitecture):
        return RegressionGrader(ref.card, architecture)
    if isinstance(architecture, NetworkArchitecture) and ref.card.task is Task.DAMAGE:
        from models.damage.network_grader import NetworkGrader  # noqa: PLC0415 - torch takes seconds

        return NetworkGrader.load(ref, architecture, device=device)
    raise InputsMismatch(
        f"{ref.card.name} is for {ref.card.task} and grades no buildings; name a model for damage, "
        "such as damage-features"
    )
