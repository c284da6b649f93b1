"""Times beside GradBench's own tools: `python -m tests.benchmarks.gradbench.table --checkout FOLDER [--tool NAME=PYTHON ...]`.

FOLDER is a checkout of GradBench, NAME a tool of it in Python, and PYTHON an interpreter with what the tool needs. Each tool is
a process that answers the protocol, with one thread. For every input it is asked for the value and the derivative, in turns.
The fastest call of all turns counts; outputs must agree. Without a tool, our side alone is measured.

`--tool jax=PYTHON` measures GradBench's tool for JAX with a clock that waits for the result (`waiting.py`), and with the
evaluations that it lacks (`by_jax/`). Begin the command with `taskset -c 1`, or another core: XLA's threads follow no variable
but this. The lines after the table give, for each tool, the geometric mean of our derivative's time over its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import inputs

ROOT = Path(__file__).parents[3]
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
CASES: list[tuple[str, str, tuple[str, str], dict[str, Any]]] = [
    ("ba", "21 cameras, 300 observations", ("objective", "jacobian"), inputs.ba(21, 100, 300)),
    ("det", "8 x 8", ("primal", "gradient"), inputs.det(8)),
    ("gmm", "n 1,000, d 10, k 25", ("objective", "jacobian"), inputs.gmm(10, 25, 1000)),
    ("gmm", "n 1,000, d 20, k 50", ("objective", "jacobian"), inputs.gmm(20, 50, 1000)),
    ("ht", "544 vertices, 100 points", ("objective", "jacobian"), inputs.ht(544, 100)),
    ("kmeans", "n 10,000, k 100, d 8", ("cost", "dir"), inputs.kmeans(100, 10000, 8)),
    ("llsq", "n 4,096, m 128", ("primal", "gradient"), inputs.llsq(4096)),
    ("lse", "n 100,000", ("primal", "gradient"), inputs.lse(100000)),
    ("lstm", "2 layers, 256 characters", ("objective", "jacobian"), inputs.lstm(2, 256)),
    ("ode", "n 10,000, 100 steps", ("primal", "gradient"), inputs.ode(10000, 100)),
    ("particle", "reverse over reverse", ("rr", "rr"), inputs.particle()),
    ("saddle", "reverse over reverse", ("rr", "rr"), inputs.saddle()),
]


class Tool:
    """A process that answers the protocol."""

    def __init__(self, command: list[str], path: Path) -> None:
        # JAX's ode would compute in single precision otherwise, if it came first
        environment = {**os.environ, "PYTHONPATH": str(path), **ONE_THREAD, "JAX_ENABLE_X64": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=path
        )
        self.id = -1

    def ask(self, **message: Any) -> dict[str, Any]:
        """The response to a message."""
        self.id += 1
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"id": self.id, **message}) + "\n")
        self.process.stdin.flush()
        response: dict[str, Any] = json.loads(self.process.stdout.readline())
        return response


def tool_of(name: str, python: str, path: Path) -> Tool:
    """A tool of the checkout; JAX's with another clock, and left on the core that this process is on."""
    run = str(path / "gradbench" / "tools" / name / "run.py")
    waiting = [str(Path(__file__).with_name("waiting.py")), run, "--multithreaded"]
    return Tool([python, *(waiting if name == "jax" else [run])], path)


def measured(tools: dict[str, Tool], case: Any, turns: int, seconds: float) -> dict[str, list[float]]:
    """The fastest call of each of the two functions, by tool; tools without the evaluation are left out."""
    name, title, functions, given = case
    present = {key: tool for key, tool in tools.items() if tool.ask(kind="define", module=name).get("success")}
    best: dict[str, list[float]] = {key: [float("inf")] * 2 for key in present}
    for i, function in enumerate(functions):
        expected = None
        for _ in range(turns):
            for key in list(best):
                message = {
                    "module": name,
                    "function": function,
                    "input": {**given, "min_runs": 2, "min_seconds": seconds},
                }
                response = present[key].ask(kind="evaluate", **message)
                if not response.get("success"):
                    print(f"{name}, {title}: {key} fails: {str(response.get('error'))[-200:]}", file=sys.stderr)
                    del best[key]
                    continue
                best[key][i] = min(best[key][i], *(t["nanoseconds"] / 1e6 for t in response["timings"]))
                found = np.array(list(leaves(response["output"])))
                expected = found if expected is None else expected
                if found.shape != expected.shape or not np.allclose(found, expected, rtol=1e-4, atol=1e-4):
                    raise SystemExit(f"{name}, {title}, {function}: {key} gives something else")
    return best


def leaves(output: Any) -> Iterator[float]:
    """The numbers of an output, the members of an object in the order of their names."""
    if isinstance(output, dict):
        output = [output[key] for key in sorted(output)]
    if isinstance(output, list):
        for part in output:
            yield from leaves(part)
    else:
        yield output


def main() -> None:
    """Print a table, row by row."""
    parser = argparse.ArgumentParser("python -m tests.benchmarks.gradbench.table")
    parser.add_argument("--checkout", type=Path, metavar="FOLDER", help="of GradBench")
    parser.add_argument(
        "--tool", action="append", default=[], metavar="NAME=PYTHON", help="as pytorch=/usr/bin/python3"
    )
    parser.add_argument("--only", default="", metavar="NAMES", help="evaluations, with commas")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    tools = {"ours": Tool([sys.executable, "-m", "tests.benchmarks.gradbench"], ROOT)}
    for text in args.tool:
        name, _, python = text.partition("=")
        path = args.checkout / "python" / "gradbench"
        tools[name] = tool_of(name, python, path)
    heads = ["evaluation", "input", "ours: value", "derivative", "derivative over value"]
    heads += [text for key in tools if key != "ours" for text in (f"{key}: value", "derivative", "ours over it")]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    ratios: dict[str, list[float]] = {key: [] for key in tools if key != "ours"}
    for case in CASES:
        if not args.only or case[0] in args.only.split(","):
            best = measured(tools, case, args.turns, args.seconds)
            value, derivative = best["ours"]
            cells = [value, derivative, derivative / value]
            for key in ratios:
                its_value, its_derivative = best.get(key, [math.nan] * 2)
                cells += [its_value, its_derivative, derivative / its_derivative]
                ratios[key] += [derivative / its_derivative] if key in best else []
            print("|", " | ".join([*case[:2], *(f"{t:.3g}" for t in cells)]).replace("nan", "-"), "|", flush=True)
    for key, found in ratios.items():
        print(f"\nOur derivatives over {key}'s: {np.exp(np.mean(np.log(found))):.3g} in the mean of {len(found)} rows")


if __name__ == "__main__":
    main()
