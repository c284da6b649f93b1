"""The tab "Gradients": the graph of a small program, and gradcheck of the user's own rules."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn, testing
from tinygrad_cnn.extra.show.page import compact

from .call import Refusal, execute

PROGRAM = "your program"
RULE = "your rule"
ENTRIES = 64
"""Elements of an input up to which a table compares its entries one by one."""
STEP = 1e-6


def show(source: str) -> dict[str, Any]:
    """The graph behind the last line of a program. In it, ``name = 2.0`` makes a Tensor with a gradient.

    Returns:
        "graph", as pages of tg.show hold it, and "leaves": for each such line "name", "value", and where the number is in the
        text: "line", "start" and "end" in characters.
    """
    tree = ast.parse(source, PROGRAM)
    leaves = []
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _number(value) is not None:
                place = {"line": value.lineno, "start": _column(source, value), "end": _column(source, value, end=True)}
                leaves.append({"name": name, "value": _number(value), **place})
                call = ast.Call(ast.Name("_leaf", ast.Load()), [value], [])
                statement.value = ast.fix_missing_locations(ast.copy_location(call, value))
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        target = ast.Name("_last", ast.Store())
        tree.body[-1] = ast.fix_missing_locations(ast.copy_location(ast.Assign([target], last.value), last))
    space: dict[str, Any] = {"tg": tg, "nn": nn, "np": np, "_leaf": _leaf}
    execute(source, PROGRAM, space, tree)
    result = space["_last"] if isinstance(last, ast.Expr) else _last(tree, space)
    if not isinstance(result, tg.Tensor):
        raise Refusal(
            "the program's last line makes no Tensor, so that there is no graph; end it with an expression or an assignment "
            "of what you want to see, and write the numbers that have gradients as name = 2.0"
        )
    space.update(_show=tg.show, _last=result)
    exec("_page = _show(_last)", space)  # there, since show names Tensors after the variables around it
    data = space["_page"].data
    data["notes"] = [
        note for note in data["notes"] if "detect_anomaly" not in note
    ]  # the program stands beside the graph
    return {"graph": compact(data), "leaves": leaves}


def _number(value: ast.expr) -> float | None:
    """A number with a point or an exponent, also with a sign; None for anything else."""
    match value:
        case ast.Constant(value=float(number)):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=float(number))):
            return -number
    return None


def _column(source: str, node: ast.expr, end: bool = False) -> int:
    """The column of a node in characters; the parser counts bytes."""
    line = source.splitlines()[(node.end_lineno or node.lineno) - 1 if end else node.lineno - 1]
    return len(line.encode()[: node.end_col_offset if end else node.col_offset].decode())


def _leaf(value: float) -> tg.Tensor:
    return tg.Tensor(value, requires_grad=True)


def _last(tree: ast.Module, space: dict[str, Any]) -> Any:
    """What the last assignment of a Tensor at the top of the program assigned."""
    for statement in reversed(tree.body):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(space.get(target.id), tg.Tensor):
                return space[target.id]
    return None


def check(source: str) -> dict[str, Any]:
    """Run a program that calls gradcheck, and tell what its last call found.

    Returns:
        "passed"; "text", the report; "tables", for each input of at most 64 elements its gradient as "rules" and "differences",
        nested lists, and the flat positions of what is "wrong" and of "kinks", where the two may differ; "incoming", the
        gradient of the outputs: "ones", which adds them up, or "counted", which multiplies them by 1, 2, 3, ... first, where
        ones would not show what is wrong.
    """
    calls: list[tuple[Any, tuple[Any, ...], testing.Report]] = []

    def gradcheck(f: Any, *inputs: Any, **options: Any) -> testing.Report:
        report = testing.gradcheck(f, *inputs, **options)
        calls.append((f, inputs, report))
        return report

    execute(source, RULE, {"tg": tg, "nn": nn, "np": np, "gradcheck": gradcheck})
    if not calls:
        raise Refusal(
            "your text did not call gradcheck; end it with a line such as gradcheck(cube, np.array([0.5, -1.0]))"
        )
    f, inputs, report = calls[-1]
    kinks = {(kink.input, kink.index) for kink in report.kinks if kink.order == 1}
    tables, incoming = _tables(f, inputs, _ones, kinks), "ones"
    if not any(table["wrong"] for table in tables):
        counted = _tables(f, inputs, _counted, kinks)
        if any(table["wrong"] for table in counted) or not _tells(tables):
            tables, incoming = counted, "counted"
    text = str(report).partition("\nReproduce with:")[0]
    return {"passed": bool(report), "text": text, "tables": tables, "incoming": incoming}


def _ones(output: tg.Tensor) -> np.ndarray:
    return np.ones(output.shape)


def _counted(output: tg.Tensor) -> np.ndarray:
    return np.arange(1.0, output.size + 1).reshape(output.shape)


def _tells(tables: list[dict[str, Any]]) -> bool:
    """Whether there is a gradient to be seen: the outputs of a softmax, say, add up to 1 whatever its inputs are."""
    return any(np.abs(table["differences"]).max(initial=0) > 1e-5 for table in tables)


def _tables(
    f: Any, inputs: tuple[Any, ...], incoming: Callable[[tg.Tensor], np.ndarray], kinks: set[Any]
) -> list[dict[str, Any]]:
    arrays = [np.array(each.numpy() if isinstance(each, tg.Tensor) else each) for each in inputs]

    def weighted(*given: Any) -> tg.Tensor:
        out = f(*given)
        parts = out if isinstance(out, tuple | list) else [out]
        return sum((part * incoming(part)).sum() for part in parts)

    tables = []
    for position, array in enumerate(arrays):
        if array.dtype.kind != "f" or not 0 < array.size <= ENTRIES:
            continue
        given: list[Any] = [tg.Tensor(each) if each.dtype.kind == "f" else each for each in arrays]
        given[position] = leaf = tg.Tensor(array, requires_grad=True)
        (found,) = tg.gradients(weighted(*given), [leaf], allow_unused=True)
        rules = np.zeros(array.shape) if found is None else found.numpy().astype(np.float64)
        differences = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            ends = []
            for step in (STEP, -STEP):
                moved = array.astype(np.float64)
                moved[index] += step
                given[position] = tg.Tensor(moved)
                with tg.no_grad():
                    ends.append(weighted(*given).item())
            differences[index] = (ends[0] - ends[1]) / (2 * STEP)
        off = np.abs(rules - differences) > 1e-4 * np.maximum(1.0, np.abs(differences))
        bent = np.array([(position, index) in kinks for index in np.ndindex(array.shape)]).reshape(array.shape)
        table = {
            "input": position,
            "rules": rules.tolist(),
            "differences": differences.round(7).tolist(),
            "wrong": np.flatnonzero(off & ~bent).tolist(),
            "kinks": np.flatnonzero(bent).tolist(),
        }
        tables.append(table)
    return tables
