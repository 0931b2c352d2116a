"""Joined: a folder of very many tiles of one flight as one scene.

A product numbers its scenes in eight bits, and nobody reads a list of thousands. Tiles that differ
in nothing but their place, as surveys and map servers deliver them, are one image cut into pieces.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import shapely

from geo.antimeridian import polygons_only
from geo.naming import acquisition_key
from geo.scene import Asset, Scene
from geo.sensors import Family

JOINED_FROM = 100
"""Tiles of one source from which on they are joined; fewer are told apart in the product."""


def joined(scenes: Sequence[Scene], name: str) -> tuple[Scene, ...]:
    """Return the scenes of a source, with very many alike made one.

    Pictures are alike that share sensor, bands, units and time. Each pixel of the one scene comes
    from the first of them that saw it.

    Args:
        scenes: of one source and phase, in the order in which their pixels are taken.
        name: of the source, which the scene is called.
    """
    groups: dict[tuple[object, ...], list[Scene]] = {}
    for scene in scenes:
        groups.setdefault(_kind(scene), []).append(scene)
    out: list[Scene] = []
    for group in groups.values():
        whole = len(group) >= JOINED_FROM and group[0].sensor.family is Family.PICTURE
        out += [_one(group, _called(name, len(out)))] if whole else group
    return tuple(out)


def name_of(path: Path) -> str:
    """Return what the tiles of a folder or a glob are called together."""
    parts = [part for part in path.parts if not any(mark in part for mark in "*?[")]
    return Path(*parts).name or "tiles"


def _called(name: str, before: int) -> str:
    return f"{name}-{before + 1}" if before else name


def _kind(scene: Scene) -> tuple[object, ...]:
    return scene.sensor_name, scene.bands, scene.units, scene.offset, scene.taken, scene.nodata


def _one(tiles: Sequence[Scene], name: str) -> Scene:
    revisions = "".join(sorted(tile.revision for tile in tiles))
    sharpest = min(tiles, key=lambda tile: tile.gsd_m)
    colours = Counter(tile.colours for tile in tiles).most_common(1)[0][0]
    return replace(
        sharpest,
        id=name,
        acquisition=acquisition_key(name),
        revision=hashlib.sha256(revisions.encode()).hexdigest()[:16],
        footprint=polygons_only(shapely.union_all([tile.footprint for tile in tiles])),
        assets=tuple(_assets(tiles)),
        colours=colours,
        notes=(
            f"{len(tiles)} tiles of {name} were taken as one image",
            *dict.fromkeys(_shared_notes(tiles)),
        ),
    )


def _assets(tiles: Iterable[Scene]) -> Iterable[Asset]:
    for tile in tiles:
        yield from (replace(asset, footprint=tile.footprint) for asset in tile.assets)


def _shared_notes(tiles: Sequence[Scene]) -> Iterable[str]:
    """Return the notes that all tiles have, and of the others how many have any."""
    counts = Counter(note for tile in tiles for note in set(tile.notes))
    yield from (note for note, count in counts.items() if count == len(tiles))
    own = sum(any(counts[note] < len(tiles) for note in tile.notes) for tile in tiles)
    if own:
        first = next(n for tile in tiles for n in tile.notes if counts[n] < len(tiles))
        yield f"{own} of the tiles have notes of their own, such as: {first}"
