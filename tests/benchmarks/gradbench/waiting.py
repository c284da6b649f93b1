"""GradBench's tool for JAX with a clock that waits for the result: ``python waiting.py FOLDER/tools/jax/run.py``.

Its own clock stops when a call is on its way. `by_jax` has the evaluations that it lacks.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from gradbench import wrap

timed = wrap.multiple_runs


def waits(**how: Any) -> Callable[[Callable[[Any], Any]], Any]:
    """`wrap.multiple_runs` for functions that then wait."""
    return lambda function: timed(**how)(lambda given: jax.block_until_ready(function(given)))


if __name__ == "__main__":
    here = Path(__file__).parent
    wrap.multiple_runs = waits
    del sys.argv[0]
    sys.path = [str(Path(sys.argv[0]).parent), *sys.path[1:], str(here / "by_jax"), str(here.parents[2])]
    runpy.run_path(sys.argv[0], run_name="__main__")
