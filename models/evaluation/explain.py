"""Why a polygon: what the model saw there, and which images and bands moved its answer.

A network is explained by integrated gradients and by occlusion
(`models.evaluation.attribution`); a detector shows its features and their thresholds.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from geo.types import BoolArray
from models.cards.architecture import DetectorArchitecture, IndexChange
from models.cards.card import ModelCard
from models.evaluation.attribution import Case, Explanation, Feature, Looked, owned
from models.inference.map_scenes import ProgressReceiver
from models.networks.detectors import NDVI_BEFORE, DetectorModel
from models.networks.tensors import SceneStatistics


def explain(case: Case, progress: ProgressReceiver) -> Explanation:
    """Return why a polygon.

    Args:
        progress: told the steps of the integral, which take longest.

    Raises:
        InputsMismatch: where the model does not answer what is asked, or cannot be explained.
        SceneUnreadable: where pixels cannot be decoded.
    """
    looked = case.look()
    probability = case.published(looked)
    observed = {
        reading.name: _observed(case, looked, reading.name) for reading in case.reader.inputs
    }
    if isinstance(case.model, DetectorModel):
        features = tuple(_features(case, case.model, looked))
        return Explanation(case.region, probability, observed, features=features)
    from models.evaluation import attribution  # noqa: PLC0415 - torch takes seconds to import

    close = case.close()
    attributions, balances = attribution.attribute(case, close, progress)
    effects = attribution.leave_out(case, close)
    return Explanation(
        case.region,
        probability,
        observed,
        attributions=attributions,
        balances=balances,
        effects=effects,
    )


def _observed(case: Case, looked: Sequence[Looked], reading: str) -> BoolArray:
    valid = [part.seen[reading].valid.astype(np.float32) for part in looked]
    return np.asarray(owned(looked, valid, case.region) > 0)


def _features(case: Case, model: DetectorModel, looked: Sequence[Looked]) -> Iterator[Feature]:
    for run in case.runs:
        windows = [model.features(run.inputs(part.seen)) for part in looked]
        lines = _lines(model.card, case.statistics[run.name])
        for name in windows[0]:
            line, method = lines[name]
            yield Feature(
                name=f"{name}, {run.name} the event" if model.card.single_date else name,
                values=owned(looked, [features[name] for features in windows], case.region),
                line=line,
                method=method,
            )


def _lines(card: ModelCard, statistics: SceneStatistics) -> dict[str, tuple[float | None, str]]:
    """Return by feature its threshold and where that comes from."""
    lines = {entry.feature: (entry.value, entry.method) for entry in statistics.thresholds}
    match card.architecture:
        case DetectorArchitecture(parameters=IndexChange(vegetated_above=vegetated)):
            return {NDVI_BEFORE: (vegetated, "fixed"), **lines}
    return lines
