"""Which model maps, and which finds buildings: what was asked for, or the first that fits."""

from collections.abc import Sequence
from dataclasses import dataclass

from flows.errors import NothingFits
from flows.request import MapRequest
from flows.settings import Settings
from geo.scene import Phase, Scene
from models.errors import InputsMismatch
from models.matching import TASKS_OF, accepts, finders, matching, misfit, require_fit
from models.reading import available
from models.registry import CardRef, all_cards, find
from models.terms import Task


@dataclass(frozen=True)
class Choice:
    """The model of a product, and why it."""

    ref: CardRef | None
    """None where no model is run."""
    why: str
    """A sentence for the summary."""

    @property
    def name(self) -> str:
        """Name of the model, or "no model"."""
        return self.ref.card.name if self.ref else "no model"

    @property
    def grader(self) -> CardRef | None:
        """The model, where it is one that grades buildings."""
        return self.ref if self.ref is not None and self.ref.card.task is Task.DAMAGE else None

    @property
    def label(self) -> str | None:
        """Name and 12 digits of the digest, as in `model` of every feature."""
        return f"{self.ref.card.name} {self.ref.card.digest[:12]}" if self.ref else None


def choose_model(request: MapRequest, scenes: Sequence[Scene], settings: Settings) -> Choice:
    """Return the model that was asked for, or the first that fits.

    Raises:
        NothingFits: with the reason of every model of the hazard.
        ModelUnknown, InputsMismatch: for a model that was asked for.
    """
    offers = [available(scene) for scene in scenes]
    if request.model == "none":
        return Choice(None, "no model was run, as asked")
    if request.model is not None:
        ref = find(request.model, extra=settings.models)
        if ref.card.task is Task.CLOUD:
            raise InputsMismatch(
                f"{ref.card.name} finds clouds, not a {request.hazard}; name another --model, and "
                "say with --clouds how clouds are masked"
            )
        require_fit(ref.card, offers)
        _require_footprints(ref, request)
        return Choice(ref, f"{ref.card.name} was asked for")
    match = matching(
        all_cards(settings.models),
        hazard=request.hazard,
        available=offers,
        buildings=request.grades_buildings,
    )
    if match.fits:
        ref, *others = match.fits
        passed = f"; {', '.join(o.card.name for o in others)} would fit as well" if others else ""
        read = _said_of([scene for scene in scenes if takes(ref, scene)])
        return Choice(
            ref,
            f"{ref.card.name} is the first choice that fits the imagery; it reads {read}{passed}",
        )
    tasks = TASKS_OF[request.hazard]
    graded = [
        m.ref.card
        for m in match.misfits
        if m.ref.card.task is Task.DAMAGE and misfit(m.ref.card, offers) is None
    ]
    pixels_only = tuple(task for task in tasks if task is not Task.DAMAGE)
    # Without footprints, and a pair to grade them in, nobody waits for grades.
    named = tasks if request.grades_buildings or graded or not pixels_only else pixels_only
    reasons = [m.reason for m in match.misfits if m.ref.card.task in named]
    # A pair that could be graded is worth asking for footprints; other imagery is looked at.
    if request.grades_buildings or (set(tasks) <= {Task.DAMAGE} and not graded):
        why = "; ".join(dict.fromkeys(reasons)) or "there is no model for it"
        return Choice(None, f"no model fits a {request.hazard} in this imagery: {why}")
    raise NothingFits(
        f"no model can map a {request.hazard} here: {'; '.join(dict.fromkeys(reasons))}; give "
        "other imagery, a --model of your own, or --model none for a product without analysis"
    )


def _require_footprints(ref: CardRef, request: MapRequest) -> None:
    # Who names a model that finds buildings, and gives none, wants them found.
    if ref.card.task is not Task.DAMAGE or request.grades_buildings or ref.card.finds_buildings:
        return
    raise InputsMismatch(
        f"{ref.card.name} grades buildings and finds none itself; give their footprints with "
        "--buildings, or have another model find them with --find-buildings"
    )


def choose_finder(
    request: MapRequest, choice: Choice, scenes: Sequence[Scene], settings: Settings
) -> CardRef | None:
    """Return what finds buildings and damaged ground: the grader itself where it can.

    Raises:
        NothingFits: where something is to be found and no model can.
    """
    grader = choice.grader
    if grader is None:
        if request.find_buildings or request.damaged_areas:
            raise NothingFits(
                f"buildings and damaged areas are found to grade damage, and {choice.name} does "
                f"not: {choice.why}; leave out --find-buildings and --damaged-areas, or name a "
                "grader with --model"
            )
        return None
    if request.buildings is not None and not request.damaged_areas:
        return None
    if grader.card.finds_buildings:
        return grader
    fits = finders(
        all_cards(settings.models),
        available=[available(scene) for scene in scenes if takes(grader, scene)],
        resolution_m=grader.card.resolution_m,
    )
    if not fits:
        raise NothingFits(
            f"no model finds buildings in this imagery at the {grader.card.resolution_m:g} m that "
            f"{grader.card.name} grades them at; give footprints with --buildings, without "
            "--damaged-areas"
        )
    return fits[0]


def reads(choice: Choice, scene: Scene) -> bool:
    """Whether the model takes the scene; without a model every scene is looked at."""
    return choice.ref is None or takes(choice.ref, scene)


def takes(ref: CardRef, scene: Scene) -> bool:
    return any(accepts(entry, available(scene)) for entry in ref.card.inputs)


def _said_of(scenes: Sequence[Scene]) -> str:
    """Return which sensors took scenes, and when: "Sentinel-1 GRD before and after"."""
    phases: dict[str, list[str]] = {}
    for scene in sorted(scenes, key=lambda scene: scene.phase is Phase.AFTER):
        phases.setdefault(scene.sensor.title, []).append(scene.phase.value)
    return ", ".join(
        f"{title} {' and '.join(dict.fromkeys(when))}" for title, when in sorted(phases.items())
    )
