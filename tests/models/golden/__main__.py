"""Writes what the networks on the shelf answer: `python -m tests.models.golden [NAME ...]`.

Do it when weights were replaced on purpose, and look at what changed.
"""

import json
import sys
from pathlib import Path

from tests.models.golden.fixture import answers, network_of, shipped_networks

FOLDER = Path(__file__).parent


def main(names: list[str]) -> None:
    """Write the files of the networks that are named, or of all."""
    for ref in shipped_networks():
        if not names or ref.card.name in names:
            found = answers(network_of(ref))
            record = {"weights_sha256": ref.card.weights_sha256, "answers": found}
            (FOLDER / f"{ref.card.name}.json").write_text(f"{json.dumps(record)}\n")


main(sys.argv[1:])
