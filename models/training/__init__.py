"""Training of networks: a config in, a card and its weights out."""

from models.training.config import TrainingConfig, at_root, read_config
from models.training.pretrain import pretrain
from models.training.run import train

__all__ = ["TrainingConfig", "at_root", "pretrain", "read_config", "train"]
