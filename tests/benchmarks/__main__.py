"""Benchmarks as tables: `python -m tests.benchmarks [NAME ...]`, all of them without a name."""

import sys
import time

from tests.benchmarks import coverage, drone, memory, pipeline, polygons, real
from tests.benchmarks.measure import machine

TITLES = {
    "pipeline": ("The pipeline around a model", pipeline.benchmark),
    "polygons": ("Polygons", polygons.benchmark),
    "coverage": (
        "How often the interval of `aftermap validate` holds the truth",
        coverage.benchmark,
    ),
    "memory": ("Memory and time of a map run", memory.benchmark),
    "drone": ("Made drone orthophotos through the main job", drone.benchmark),
    "real": ("Real imagery through the main job", real.benchmark),
}


def main(names: list[str]) -> int:
    """Run the benchmarks of these names, or all."""
    if unknown := sorted(set(names) - set(TITLES)):
        print(f"no benchmark {', '.join(unknown)}; there is {', '.join(TITLES)}", file=sys.stderr)
        return 2
    print(f"Machine: {machine()}. Other work on it slows all rows; compare within a table.\n")
    for name in names or TITLES:
        title, benchmark = TITLES[name]
        start = time.perf_counter()
        print(f"## {title}\n\n{benchmark()}\n")
        print(f"({time.perf_counter() - start:.0f} s with making the scenes)\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
