"""`make environment`: CPU builds of torch where no GPU is seen and an index of them is named."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
INDEX = "https://cpu.example/simple"


def planned(folder: Path, *variables: str, gpu: bool) -> str:
    """Return what `make environment` would run on a machine with or without a GPU."""
    tools = folder / "tools"
    tools.mkdir()
    for name in ("make", "sh", "bash", "grep", "python3"):
        found = shutil.which(name)
        assert found, f"{name} is needed"
        (tools / name).symlink_to(found)
    if gpu:
        (tools / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200'\n")
        (tools / "nvidia-smi").chmod(0o755)
    environment = {**os.environ, "PATH": str(tools)}
    return subprocess.run(
        ["make", "--dry-run", "environment", f"VENV={folder}/venv", *variables],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "gpu", "taken"),
    [
        ((f"TORCH_CPU_INDEX={INDEX}",), False, True),
        ((f"TORCH_CPU_INDEX={INDEX}",), True, False),
        ((f"TORCH_INDEX={INDEX}",), True, True),
        ((), False, False),
    ],
)
def test_the_index_of_cpu_builds_is_taken_where_no_gpu_is_seen(
    tmp_path: Path, variables: tuple[str, ...], gpu: bool, taken: bool
) -> None:
    assert (f"--index-url {INDEX} torch torchvision" in planned(tmp_path, *variables, gpu=gpu)) == (
        taken
    )
