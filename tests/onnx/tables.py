"""The tables of ONNX: which operators are read, written and judged, and how far trained models are from onnxruntime.

python -m tests.onnx.tables
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.extra.onnx import load
from tinygrad_cnn.extra.onnx.table import READERS

from . import needs
from .models import REAL, example, real_path

FOLDER = Path(tg.__file__).parent / "extra" / "onnx"


def read() -> list[str]:
    """The operators that `load` reads."""
    return sorted({*READERS, "If", "Loop", "Scan"})


def written() -> list[str]:
    """The operators that `export` writes: what stands as text in the writers of the table and what they call."""
    known = set(read())
    found = {"Identity", "Constant"}
    for path in [*(FOLDER / "table").glob("*.py"), FOLDER / "write.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # Readers name operators in their decorators only, and in a table of their own for reductions.
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "reads",
                "_reader",
                "_softmax_reader",
                "bounded",
            ):
                for inner in ast.walk(node):
                    inner.__dict__["skipped"] = True
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and not hasattr(node, "skipped"):
                found |= {node.value} & known
    return sorted(found - NOT_WRITTEN)


NOT_WRITTEN = {"GRU", "IsInf", "LSTM", "RNN", "ReduceL1", "ReduceLogSum", "ReduceSumSquare", "ScatterND"}
"""Operators whose names stand in the code of readers."""


def lists() -> str:
    """Both lists, for docs/onnx.md."""
    both = {"Read": read(), "Written": written()}
    return "\n\n".join(f"{title}, {len(names)}: {', '.join(names)}." for title, names in both.items())


def operators() -> str:
    """A row for each operator."""
    from . import judge

    verdicts = defaultdict(list)
    for operator, case in judge.cases():
        verdicts[operator].append(judge.judge(operator, case))
    out = set(written())
    rows = ["| operator | read | written | cases | right | with gradients |", "| --- | --- | --- | --- | --- | --- |"]
    for name in sorted({*read(), *out}):
        found = verdicts[name]
        right = sum(not v.fault for v in found)
        marks = ["yes" if name in names else "" for names in (read(), out)]
        rows.append(
            f"| {name} | {marks[0]} | {marks[1]} | {len(found)} | {right} | {sum(v.gradients > 0 for v in found)} |"
        )
    every = [v for found in verdicts.values() for v in found]
    right, graded = sum(not v.fault for v in every), sum(v.gradients > 0 for v in every)
    judged = f"{len(every)} of {sum(map(bool, verdicts.values()))} operators"
    rows.append(f"| all | {len(read())} | {len(out)} | {judged} | {right} | {graded} |")
    return "\n".join(rows)


def models() -> str:
    """A row for each trained model and size, with the difference relative to the largest value."""
    rows = [
        "| model | opset | nodes | parameters | input | largest difference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, real in REAL.items():
        model = load(real_path(name))
        for shape in real.shapes:
            x = example(name, shape)
            (wanted,) = needs.run(real_path(name), x)
            with tg.no_grad():
                gap = np.abs(model(x).numpy() - wanted).max() / np.abs(wanted).max()
            size = sum(p.size for p in model.parameters())
            sizes = " x ".join(map(str, shape))
            rows.append(f"| {name} | {model.opset} | {len(model.program.steps)} | {size:,} | {sizes} | {gap:.1e} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(operators(), models(), sep="\n\n")
