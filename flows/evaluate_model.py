"""The Prefect flow `evaluate-model`."""

# No `from __future__ import annotations` here: it breaks `flow.serve()`.
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.learning import EvaluateRequest, assess
from flows.progress import progress_on


@flow(name="evaluate-model", flow_run_name="evaluate {request.title}", validate_parameters=True)
def evaluate_model(request: EvaluateRequest, quiet: bool = False) -> dict[str, object]:
    """Score a model on labels."""
    scores: dict[str, object] = task(name="assess", cache_policy=NO_CACHE)(assess)(
        request, progress_on(quiet=quiet)
    )
    return scores
