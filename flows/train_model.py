"""The Prefect flows `train-model` and `pretrain-encoder`."""

# No `from __future__ import annotations` here: it breaks `flow.serve()`.
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.learning import TrainRequest, learn, prepare
from flows.progress import progress_on
from models.card import ModelCard


@flow(name="train-model", flow_run_name="train {request.config.name}", validate_parameters=True)
def train_model(request: TrainRequest, quiet: bool = False) -> ModelCard:
    """Train a model; its folder holds the checkpoint that the next run begins from."""
    card: ModelCard = task(name="learn", cache_policy=NO_CACHE)(learn)(
        request, progress_on(quiet=quiet)
    )
    return card


@flow(
    name="pretrain-encoder",
    flow_run_name="pretrain {request.config.name}",
    validate_parameters=True,
)
def pretrain_encoder(request: TrainRequest, quiet: bool = False) -> Path:
    """Teach an encoder on images without labels; its folder holds the checkpoint."""
    path: Path = task(name="prepare", cache_policy=NO_CACHE)(prepare)(
        request, progress_on(quiet=quiet)
    )
    return path
