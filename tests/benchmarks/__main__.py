"""Print a Markdown table of every row, beside PyTorch if it is installed.

Unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE for this command if they are set: they slow NumPy down. A second thread becomes
many times slower when anything else runs, on either side: measure on a quiet machine.
"""

from __future__ import annotations

import importlib
import os
import sys

import numpy as np

from .measure import alternate
from .workloads import rows


def main() -> None:
    """Measure and print."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        torch = None
        print("PyTorch is not installed: only our own times. `pip install torch` for the comparison.\n")
    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"The machine is busy (load {busy:.1f}): times and ratios below may be off.\n", file=sys.stderr)
    peer = f", PyTorch {torch.__version__}" if torch else ""
    print(f"NumPy {np.__version__}{peer}, {os.cpu_count()} cores; medians, with the spread between quartiles\n")
    print("| row | ours | PyTorch | ratio |\n| --- | --- | --- | --- |")
    for name, threads, ours, theirs in rows():
        sides = {"ours": ours}
        if torch is not None:
            torch.set_num_threads(threads or os.cpu_count() or 1)
            sides["PyTorch"] = theirs(torch)
        found = alternate(sides)
        shown = [f"{t.median * 1e3:.3g} ms ({t.spread:.0%})" for t in found.values()] + ["-"] * (2 - len(found))
        ratio = f"{found['ours'].median / found['PyTorch'].median:.2f}" if torch else "-"
        print(f"| {name} | {' | '.join(shown)} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
