"""The Prefect flow `adapt-model`."""

# No `from __future__ import annotations` here: it breaks `flow.serve()`.
from prefect import flow

from flows.adapting import Adapted, AdaptRequest, adapt
from flows.map_event import as_task
from flows.progress import progress_on
from flows.settings import Settings


@flow(name="adapt-model", flow_run_name="adapt {request.model}", validate_parameters=True)
def adapt_model(request: AdaptRequest, quiet: bool = False) -> Adapted:
    """Teach a model a new event from a few labels of it."""
    return adapt(request, Settings(), progress_on(quiet=quiet), step=as_task)
