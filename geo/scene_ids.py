"""Ids of scenes: unique in a request, and telling."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from geo.naming import acquisition_key
from geo.scene import Scene


def distinct_ids(scenes: Iterable[Scene]) -> tuple[Scene, ...]:
    """Return the scenes, each once, with ids that are unique.

    A shared name gains its folder, then its phase, then its revision: `before/image.tif` and
    `after/image.tif` become `before-image` and `after-image`. A scene that was found twice,
    with the same name and the same bytes, stays once.
    """
    once = {(s.phase, s.id, s.revision, s.taken_text): s for s in scenes}
    by_folder = _renamed(tuple(once.values()), lambda s: f"{s.paths[0].parent.name}-{s.id}")
    by_phase = _renamed(by_folder, lambda scene: f"{scene.phase}-{scene.id}")
    by_revision = _renamed(by_phase, lambda scene: f"{scene.id}-{scene.revision[:8]}")
    return _renamed(by_revision, lambda scene: f"{scene.id}-{scene.taken_text}")


def _renamed(scenes: tuple[Scene, ...], name: Callable[[Scene], str]) -> tuple[Scene, ...]:
    times = Counter(scene.id for scene in scenes)
    return tuple(_called(scene, name(scene)) if times[scene.id] > 1 else scene for scene in scenes)


def _called(scene: Scene, name: str) -> Scene:
    return replace(scene, id=name, acquisition=acquisition_key(name))
