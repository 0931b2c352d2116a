"""The checkup: one finding for each thing that stops runs, or makes them go wrong."""

from pathlib import Path

from flows.doctor.finding import Finding
from flows.doctor.libraries import (
    geometry_library,
    numba_cache,
    prefect_versions,
    projections,
    raster_library,
    torch_device,
    vector_library,
)
from flows.doctor.machine import memory, processors, python_version, store_disk, store_rights
from flows.doctor.services import prefect_server, shelf


def checkup(store: Path, *, models: Path | None = None) -> list[Finding]:
    """Return what was found on this machine; nothing is changed by looking.

    Args:
        store: folder that products are to be published in; need not exist yet.
        models: folder of the user's own models.
    """
    return [
        python_version(),
        processors(),
        memory(),
        store_disk(store),
        store_rights(store),
        torch_device(),
        raster_library(),
        vector_library(),
        geometry_library(),
        projections(),
        prefect_versions(),
        prefect_server(),
        shelf(models),
        numba_cache(),
    ]
