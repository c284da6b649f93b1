"""GradBench's tool for JAX with a clock that waits for the result: ``python waiting.py FOLDER/tools/jax/run.py``.

Its own clock stops when a call is on its way.
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
    wrap.multiple_runs = waits
    del sys.argv[0]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
