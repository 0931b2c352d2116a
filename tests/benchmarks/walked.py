"""Runs the command line with a clock around every step of a map run.

python -m tests.benchmarks.walked REPORT.json map --direct ...
"""

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.cli import app as cli
from flows.mapping import map_run


def main(report: str, *arguments: str) -> int:
    """Run a command without Prefect, and write the seconds of each step."""
    spent: dict[str, float] = {}

    def timed(function: Callable[..., Any], /) -> Callable[..., Any]:
        @functools.wraps(function)
        def step(*args: object, **named: object) -> object:
            start = time.perf_counter()
            result = function(*args, **named)
            spent[function.__name__] = time.perf_counter() - start
            return result

        return step

    # `map_event` takes what is wrapped around its steps; the command line takes it as it is.
    map_run.map_event = functools.partial(map_run.map_event, step=timed)  # type: ignore[assignment]
    status = cli.run(arguments)
    Path(report).write_text(json.dumps(spent))
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
