"""What every test shares: the labelled imagery, and no network but loopback."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the labelled imagery: AFTERMAP_DATA, or shared/data beside the checkout."""
    folder = Path(os.environ.get("AFTERMAP_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MANIFEST.sha256").exists():
        pytest.fail(
            f"the labelled imagery is not at {folder}; set AFTERMAP_DATA to the folder "
            "that holds MANIFEST.sha256"
        )
    return folder
