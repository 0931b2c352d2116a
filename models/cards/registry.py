"""Models of the shelf and the user's own; config files. Weights stay bytes, never unpickled."""

import hashlib
import json
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from models.cards.architecture import CsmaskArchitecture, Part
from models.cards.card import CARD_NAME, WEIGHTS_NAME, ModelCard, first_error, read_card
from models.errors import ModelUnknown, NameTaken, TrainingInvalid, WeightsMismatch

SHELF = Path(__file__).parents[1] / "shelf"


@dataclass(frozen=True)
class CardRef:
    """A card and the folder that it lies in."""

    card: ModelCard
    folder: Path

    @property
    def weights(self) -> Path:
        """Where the weights lie; detectors have none."""
        architecture = self.card.architecture
        if not isinstance(architecture, CsmaskArchitecture):
            return self.folder / WEIGHTS_NAME
        spec = find_spec("ukis_csmask")
        if spec is None or spec.origin is None:
            raise WeightsMismatch(
                "its weights come with the package ukis_csmask, which is not installed; install it"
            )
        return Path(spec.origin).parent / architecture.file

    def read_weights(self, *, cure: str = "take both from one place") -> bytes:
        """Return the bytes of the weights, or raise WeightsMismatch where they are others."""
        content, digest = weight_bytes(self.weights)
        if digest != self.card.weights_sha256:
            raise WeightsMismatch(
                f"the weights {self.weights} have the sha256 {digest}, the card says "
                f"{self.card.weights_sha256}; {cure}"
            )
        return content


def weight_bytes(path: Path) -> tuple[bytes, str]:
    """Return the bytes of a file of weights and their sha256, or raise WeightsMismatch."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsMismatch(f"the weights {path} cannot be read: {error.strerror}") from error
    return content, hashlib.sha256(content).hexdigest()


def all_cards(extra: Path | None = None) -> tuple[CardRef, ...]:
    """Return every model of the shelf and of `extra`, a folder with a card or of such folders.

    Raises ModelUnknown, CardInvalid or NameTaken.
    """
    folders = [path.parent for path in SHELF.glob(f"*/{CARD_NAME}")]
    if extra is not None:
        mine = sorted(
            path.parent for path in (*extra.glob(CARD_NAME), *extra.glob(f"*/{CARD_NAME}"))
        )
        if not mine:
            raise ModelUnknown(
                f"the folder of models {extra} holds no {CARD_NAME}, nor does any folder in it"
            )
        folders += mine
    refs: dict[str, CardRef] = {}
    for ref in (CardRef(read_card(folder / CARD_NAME), folder) for folder in folders):
        name = ref.card.name
        if name in refs:
            raise NameTaken(
                f"two models are named {name!r}: {refs[name].folder} and {ref.folder}; rename one"
            )
        refs[name] = ref
    return tuple(refs[name] for name in sorted(refs))


def find(name_or_path: str | Path, *, extra: Path | None = None) -> CardRef:
    """Return the model of that name or folder; or raise ModelUnknown, CardInvalid, NameTaken."""
    named = {ref.card.name: ref for ref in all_cards(extra)}
    if str(name_or_path) in named:
        return named[str(name_or_path)]
    folder = Path(name_or_path)
    if (folder / CARD_NAME).is_file():
        return CardRef(read_card(folder / CARD_NAME), folder)
    raise ModelUnknown(
        f"no model is named {str(name_or_path)!r}, and no folder there holds a {CARD_NAME}; "
        f"the models are {', '.join(named)}"
    )


Config = TypeVar("Config", bound=Part)


def read_part(path: Path, kind: type[Config]) -> Config:
    """Read a file as a part, or raise TrainingInvalid; paths in it are left as they are."""
    try:
        return kind.model_validate(read_fields(path))
    except ValidationError as error:
        raise TrainingInvalid(f"{path}: {first_error(error)}") from error


def read_fields(path: Path) -> dict[str, Any]:
    """Return the unchecked fields of a .json or TOML file, or raise TrainingInvalid."""
    try:
        text = path.read_text("utf-8")
        fields = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise TrainingInvalid(f"{path} cannot be read as TOML or JSON: {error}") from error
    if not isinstance(fields, dict):
        raise TrainingInvalid(f"the config {path} holds no table of fields")
    return fields
