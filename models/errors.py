"""Errors of models; each message says what is wrong, both sides, and the cure."""


class ModelError(Exception):
    """Base of everything that this room raises on purpose."""


class ModelUnknown(ModelError):
    """There is no model of that name or at that path."""


class NameTaken(ModelError):
    """Two models share a name."""


class NoModelFits(ModelError):
    """No model can map this imagery for this hazard."""


class CardInvalid(ModelError):
    """The card cannot be read, or contradicts itself."""


class WeightsMismatch(ModelError):
    """The weights are not the ones that the card describes."""


class InputsMismatch(ModelError):
    """The imagery is not what the card wants."""


class DeviceMissing(ModelError):
    """The device that was asked for is not there."""


class ReferenceInvalid(ModelError):
    """The reference that a product is compared with cannot be used."""


class DataInvalid(ModelError):
    """A labelled data set cannot be read, or has no such split."""


class LabelsInvalid(ModelError):
    """The labels of a new event cannot be read or trained on."""


class SampleInvalid(ModelError):
    """A sample of buildings cannot be drawn, or its answers cannot be used."""


class TrainingInvalid(ModelError):
    """A training's config or its checkpoint cannot be used."""


class PageInvalid(ModelError):
    """The plan of a model's page, or the trainings that it compares, cannot be used."""
