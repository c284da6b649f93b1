"""The single-node cases of the package onnx, read through `load`: what each operator does with those that are relevant.

A case is relevant if its operator is in the table, all its types are NumPy's, and its values are not drawn at random.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.extra.onnx import OnnxError, load
from tinygrad_cnn.extra.onnx.table import READERS
from tinygrad_cnn.extra.onnx.table.logic import DTYPES

HALF = 3 * 2.0**-10
"""What float16 results may differ by: the expected ones are rounded in every step, and up to 1.4 units of the last place from
the exact ones."""

CONTROL = ("If", "Loop", "Scan")
POLES = {"test_acosh_example"}
"""Cases with an input where the gradient is infinite."""


class Verdict(NamedTuple):
    """What became of a case: "" for right, else what is wrong; and whether it was refused with an error."""

    operator: str
    case: str
    fault: str
    refused: bool
    gradients: int  # inputs that got one


def cases() -> Iterator[tuple[str, Any]]:
    """The relevant cases, with their operators."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        collected = collect_testcases(None)
    for case in collected:
        nodes = case.model.graph.node
        if len(nodes) == 1 and "_expanded" not in case.name and _is_relevant(nodes[0].op_type, case):
            yield nodes[0].op_type, case


def _is_relevant(operator: str, case: Any) -> bool:
    if (operator not in READERS and operator not in CONTROL) or "training_dropout" in case.name:
        return "zero_ratio" in case.name
    if case.model.opset_import[0].version < 7:  # shapes did not broadcast by themselves then
        return False
    ports = [*case.model.graph.input, *case.model.graph.output]
    if any(port.type.WhichOneof("value") != "tensor_type" for port in ports) or any(
        node.op_type.startswith(("Sequence", "Optional"))
        for a in case.model.graph.node[0].attribute
        for node in a.g.node
    ):
        return False
    return all(_has_type(port.type.tensor_type.elem_type) for port in ports)


def _has_type(code: int) -> bool:
    return code in DTYPES


def array(x: Any) -> np.ndarray:
    """The array of an input or output of a case."""
    import onnx

    return onnx.numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else np.asarray(x)


def judge(operator: str, case: Any) -> Verdict:
    """Read the case, compare what it gives, and call backward."""
    try:
        model = load(case.model.SerializeToString())
    except OnnxError as error:
        return Verdict(operator, case.name, f"load: {error}", True, 0)
    gradients = 0
    for inputs, outputs in case.data_sets:
        leaves = [_leaf(array(x)) for x in inputs]
        try:
            with np.errstate(all="ignore"):
                found = model(*leaves)
        except OnnxError as error:
            return Verdict(operator, case.name, f"call: {error}", True, 0)
        found = found if isinstance(found, tuple) else (found,)
        for made, wanted in zip(found, map(array, outputs), strict=True):
            values = made.numpy() if isinstance(made, tg.Tensor) else np.asarray(made)
            if values.dtype != wanted.dtype or values.shape != wanted.shape:
                fault = f"{values.dtype} {values.shape} for {wanted.dtype} {wanted.shape}"
                return Verdict(operator, case.name, fault, False, 0)
            # 1e-3 is the tolerance that the cases themselves state
            rtol = max(case.rtol, 1e-5, HALF if wanted.dtype == np.float16 else 0.0)
            if not np.allclose(values, wanted, rtol=rtol, atol=1e-6, equal_nan=values.dtype.kind == "f"):
                return Verdict(operator, case.name, f"{values} for {wanted}", False, 0)
        fault, more = ("", 0) if case.name in POLES else _backward(leaves, found)
        gradients += more
        if fault:
            return Verdict(operator, case.name, fault, False, 0)
    return Verdict(operator, case.name, "", False, gradients)


def _leaf(x: np.ndarray) -> Any:
    return tg.Tensor(x.copy(), requires_grad=True) if x.dtype.kind == "f" else x


def _backward(leaves: list[Any], found: Any) -> tuple[str, int]:
    """What is wrong with the gradients, and how many inputs got one."""
    outputs = [y for y in found if isinstance(y, tg.Tensor) and y.requires_grad and np.isfinite(y.numpy()).all()]
    if not outputs:
        return "", 0
    with np.errstate(all="ignore"):
        total = outputs[0].sum()
        for y in outputs[1:]:
            total = total + y.sum()
        total.backward()
    count = 0
    for x in leaves:
        if isinstance(x, tg.Tensor) and x.grad is not None:
            count += 1
            if not np.isfinite(x.grad.numpy()).all():
                return f"the gradient is {x.grad.numpy()}", count
    return "", count
