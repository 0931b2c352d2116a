"""What can be wrong with a request, as nouns.

FlowError
├── RequestInvalid     the request cannot be read, or a field is wrong
└── NothingFits        no model can map this imagery for this hazard
"""


class FlowError(Exception):
    """Base of everything that this room raises on purpose."""


class RequestInvalid(FlowError):
    """The request cannot be read, or a field is wrong."""


class NothingFits(FlowError):
    """No model can map this imagery for this hazard."""


class HomeUnwritable(FlowError):
    """There is no folder for Prefect's history."""
