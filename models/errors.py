"""What can be wrong with models, their cards and what they are given, as nouns.

    ModelError
    ├── ModelUnknown      no model of that name or at that path
    ├── NameTaken         two models share a name
    ├── NoModelFits       no model can map this imagery for this hazard
    ├── CardInvalid       the card cannot be read, or contradicts itself
    ├── WeightsMismatch   the weights are not the ones that the card describes
    ├── InputsMismatch    the imagery is not what the card wants
    ├── DeviceMissing     the device that was asked for is not there
    ├── ReferenceInvalid  the reference that a product is compared with cannot be used
    ├── DataInvalid       a labelled data set cannot be read, or has no such split
    ├── LabelsInvalid     the labels of a new event cannot be read or trained on
    ├── SampleInvalid     a sample of buildings cannot be drawn, or its answers be used
    ├── TrainingInvalid   a training's config or its checkpoint cannot be used
    └── PageInvalid       the plan of a model's page cannot be used

Every message is one sentence or two: what is wrong, both sides, and the cure.
"""


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
