"""The Prefect flow `train-model`."""

# No `from __future__ import annotations` here: it breaks `flow.serve()`.
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.learning import TrainRequest, learn
from flows.progress import progress_on
from models.card import ModelCard


@flow(name="train-model", flow_run_name="train {request.config.name}", validate_parameters=True)
def train_model(request: TrainRequest, quiet: bool = False) -> ModelCard:
    """Train a model; its folder holds the checkpoint that the next run begins from."""
    card: ModelCard = task(name="learn", cache_policy=NO_CACHE)(learn)(
        request, progress_on(quiet=quiet)
    )
    return card
