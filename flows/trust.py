"""How a product's model was held against a detector and its own domain, in numbers and words."""

from flows.find import Plan
from flows.phrases import share_text
from flows.report import DetectorBeside
from models.mapping import Mapped
from models.reader import Verdict


def detector_beside(mapped: Mapped) -> DetectorBeside | None:
    """Return what the detector that was run beside the model said; None where none was."""
    if mapped.witness is None:
        return None
    total = sum(mapped.label_pixels.values())
    agreeing, differing, contradicting = (
        mapped.verdict_pixels[verdict]
        for verdict in (Verdict.AGREES, Verdict.DIFFERS, Verdict.CONTRADICTS)
    )
    kept = agreeing + differing
    return DetectorBeside(
        name=mapped.witness,
        compared_share=(kept + contradicting) / total,
        differing_share=differing / kept if kept else 0,
        withdrawn_share=contradicting / total,
    )


def trust_notes(plan: Plan, mapped: Mapped) -> list[str]:
    """Return, as sentences, whether the model was checked, and what came of it.

    What was left out as far from its domain is in the notes of the surveys.
    """
    ref = plan.choice.ref
    if plan.choice.grader is not None:
        return [] if plan.request.domain_check else [_unchecked(plan.choice.name)]
    if ref is None or ref.card.domain is None:
        return []
    if not plan.request.domain_check:
        return [
            f"the imagery was not held against what {ref.card.name} learned from, nor its answer "
            "against a detector, as asked"
        ]
    beside = detector_beside(mapped)
    if beside is None:
        return []
    if not beside.compared_share:
        return [f"{beside.name} was run beside {ref.card.name} and had no answer to compare"]
    said = (
        f"{beside.name} was run beside {ref.card.name} as a check: the two differ on "
        f"{share_text(beside.differing_share)} of the pixels that both answered"
    )
    if beside.withdrawn_share:
        said += (
            f", and on a further {share_text(beside.withdrawn_share)} of the area they contradict "
            "each other, which was therefore not analysed"
        )
    return [said]


def _unchecked(name: str) -> str:
    return f"imagery and buildings were not held against what {name} learned from, as asked"
