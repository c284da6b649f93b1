"""Converts a graph of a file to a program: checks it, and computes everything that does not depend on the inputs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...scope import silent
from .errors import OnnxError
from .files import DEEPEST, array_of, attribute_of
from .port import port_of
from .program import MISTAKES, Branch, Loop, Program, Scan, Step, call_of
from .schemas import attribute_types
from .table import READERS, Reader
from .table.base import limited, number
from .table.logic import numpy_dtype

FOLDED = frozenset([
    "Abs", "Add", "And", "ArgMax", "ArgMin", "Cast", "CastLike", "Ceil", "Clip", "Concat", "Constant",
    "ConstantOfShape", "CumSum", "DequantizeLinear", "Div", "Equal", "Exp", "Expand", "EyeLike", "Flatten", "Floor",
    "Gather", "GatherElements", "GatherND", "Greater", "GreaterOrEqual", "Identity", "IsInf", "IsNaN", "Less",
    "LessOrEqual", "Log", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or", "Pad", "Pow",
    "QuantizeLinear", "Range", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "Reshape", "Round", "ScatterElements", "ScatterND", "Shape", "Sign", "Size", "Slice", "Split", "Sqrt", "Squeeze",
    "Sub", "Sum", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
])  # fmt: skip
"""Operators that are computed when a file is read, if all inputs are constants."""


class Constant:
    """A value that is known when a file is read."""

    __slots__ = ("array", "given")

    def __init__(self, array: np.ndarray, given: bool) -> None:
        self.array = array
        self.given = given  # as an initializer

    @property
    def folds(self) -> bool:
        """Whether results of this value may be computed when the file is read. Weights may change later."""
        return not self.given or self.array.dtype.kind != "f"


class Builder:
    """Converts the graphs of a model."""

    def __init__(self, opset: int, folder: Path | None, budget: int) -> None:
        self.opset, self.folder = opset, folder
        self.budget = budget  # the most elements of a constant that is computed
        self.constants: dict[str, Constant] = {}
        self.unknown: dict[str, list[str]] = {}  # operators without a reader, with the names of their nodes
        self.taken: set[str] = set()
        self.depth = 0

    # Graphs

    def main(self, graph: Any) -> Program:
        """The program of a model's graph."""
        program = self._graph(graph, {}, inputs=None)
        if self.unknown:
            listed = "\n".join(f"- {name}: {_some(nodes)}" for name, nodes in sorted(self.unknown.items()))
            raise OnnxError(f"load: there is no reader for these operators, in nodes of these names:\n{listed}")
        return program

    def _graph(self, graph: Any, outer: dict[str, str], inputs: Sequence[str] | None) -> Program:
        """The program of a graph. `outer` names are known, and `inputs` are the values of its inputs, if known."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise OnnxError(f"load: more than {DEEPEST} graphs lie within each other")
        names = dict(outer)  # by name in the file, the name of the value
        local: set[str] = set()

        def define(name: str) -> str:
            _check_text(name)
            if name in local:
                raise OnnxError(f"load: the name {name!r} stands for two values; each must have a name of its own")
            local.add(name)
            unique = name
            while unique in self.taken:
                unique += "'"
            self.taken.add(unique)
            names[name] = unique
            return unique

        for tensor in graph.initializer:
            value = define(tensor.name)
            self.constants[value] = Constant(array_of(tensor, self.folder), given=True)
        if graph.sparse_initializer:
            raise OnnxError("load: the model has sparse initializers, which are not read")
        given = [i.name for i in graph.input if i.name not in local or inputs is not None]
        program = Program(define(name) for name in given)  # type: ignore[arg-type]
        for i, node in enumerate(graph.node):
            self._node(node, node.name or f"#{i}", names, define, program)
        for output in graph.output:
            if output.name not in names:
                raise OnnxError(f"load: the output {output.name!r} is made by no node")
            program.outputs.append(names[output.name])
        self.depth -= 1
        return program

    # Nodes

    def _node(self, node: Any, name: str, names: dict[str, str], define: Any, program: Program) -> None:
        operator = node.op_type
        for text in (operator, node.domain, name):
            _check_text(text)
        inputs = []
        for given in node.input:
            if given and given not in names:
                raise OnnxError(
                    f"load: node {name!r} ({operator}) uses {given!r}, which no node before it makes: the graph is cyclic, not "
                    "in order, or damaged"
                )
            inputs.append(names[given] if given else "")
        if operator in ("If", "Loop", "Scan") and node.domain in ("", "ai.onnx"):
            getattr(self, "_" + operator.lower())(node, name, inputs, names, define, program)
            return
        row = READERS.get(operator) if node.domain in ("", "ai.onnx") else None
        outputs = [define(output) if output else "" for output in node.output]
        if row is None:
            self.unknown.setdefault(f"{node.domain}::{operator}" if node.domain else operator, []).append(name)
            return
        keywords = self._attributes(node, name)
        try:
            step = self._step(row, keywords, node, name, inputs, outputs)
            known = [self.constants.get(i) for i in inputs if i]
            if (
                operator in FOLDED
                and all(c is not None and c.folds for c in known)
                and self._fold(step, known, operator)
            ):
                return
        except MISTAKES as error:
            raise OnnxError(f"load: node {name!r} ({operator}): {error}") from None
        program.steps.append(step)

    def _step(
        self, row: Reader, keywords: dict[str, Any], node: Any, name: str, inputs: list[str], outputs: list[str]
    ) -> Step:
        unknown = sorted(set(keywords) - row.keywords - {"consumed_inputs"})
        if unknown:
            raise OnnxError(f"the attribute {unknown[0]!r} is not one of {', '.join(sorted(row.keywords)) or 'none'}")
        keywords.pop("consumed_inputs", None)
        if row.variadic:
            if not inputs or "" in inputs:
                raise OnnxError("an input is missing")
        else:
            given = dict(zip(row.inputs, inputs, strict=False))
            missing = [n for n in row.inputs[: row.required] if not given.get(n) and n not in keywords]
            if missing or len(inputs) > len(row.inputs):
                raise OnnxError(f"it has {len(inputs)} inputs; it takes {', '.join(row.inputs)}")
            twice = [n for i, n in enumerate(row.inputs[: len(inputs)]) if n in keywords]
            if twice:
                raise OnnxError(f"`{twice[0]}` is an input and an attribute")
        if "opset" in row.context:
            keywords["opset"] = self.opset
        if "outputs" in row.context:
            keywords["outputs"] = max((i + 1 for i, output in enumerate(outputs) if output), default=1)
        for name_of_type in ("to", "dtype", "output_dtype"):
            if keywords.get(name_of_type):
                numpy_dtype(keywords[name_of_type])  # raises if NumPy does not have it
        if absent := row.needed - keywords.keys():
            raise OnnxError(f"the attribute {min(absent)!r} is missing")
        roles = [(row.roles[0 if row.variadic else i] if row.roles else "") or "Value" for i in range(len(inputs))]
        return Step(
            call_of(node.op_type, keywords), inputs, outputs, name, node.op_type, roles, "training" in row.context
        )

    def _attributes(self, node: Any, name: str) -> dict[str, Any]:
        """The attributes of a node, by name. OnnxError for one that is given twice or has another type than ONNX defines."""
        types = attribute_types(node.op_type, self.opset)
        found = {}
        try:
            for each in node.attribute:
                if each.name in found:
                    raise OnnxError("two attributes have the same name")
                found[each.name] = attribute_of(each)
                if types.get(each.name, each.type) != each.type:
                    raise OnnxError(f"the attribute {each.name!r} must have the type {types[each.name].name}")
        except OnnxError as error:
            raise OnnxError(f"load: node {name!r} ({node.op_type}): {error}") from None
        return found

    def _fold(self, step: Step, known: Sequence[Any], operator: str) -> bool:
        """Compute a step of constants, unless its result is too large."""
        arrays = [c.array for c in known]
        if operator not in ("Concat", "Gather", "GatherElements", "GatherND", "OneHot", "Reshape"):
            try:
                whole = math.prod(np.broadcast_shapes(*(a.shape for a in arrays)))
            except ValueError:
                whole = max(a.size for a in arrays)
        elif operator == "Gather":
            whole = arrays[0].size * max(arrays[1].size, 1)
        else:
            whole = sum(a.size for a in arrays)
        if whole > self.budget:
            return False
        env: dict[str, Any] = {n: c.array for n, c in zip((i for i in step.inputs if i), known, strict=True)}
        try:
            with limited(self.budget), warnings.catch_warnings(), silent:
                warnings.simplefilter("ignore")
                step.run(env, False)
        except OnnxError:
            return False  # the error is raised when the model is called
        made = {name: np.asarray(env[name]) for name in step.outputs if name}
        self.budget -= sum(a.size for a in made.values())
        self.constants.update({name: Constant(array, given=False) for name, array in made.items()})
        return True

    # Control flow

    def _if(
        self, node: Any, name: str, inputs: list[str], names: dict[str, str], define: Any, program: Program
    ) -> None:
        graphs = self._attributes(node, name)
        branches = [graphs.get("then_branch"), graphs.get("else_branch")]
        if None in branches or len(inputs) != 1:
            raise OnnxError(f"load: node {name!r} (If) must have a condition and two branches")
        outputs = list(node.output)
        condition = self.constants.get(inputs[0])
        if condition is not None and condition.array.size == 1:
            chosen = self._graph(branches[0 if number(condition.array) else 1], names, inputs=())
            program.steps += chosen.steps
            for output, made in zip(outputs, chosen.outputs, strict=False):
                define(output)
                names[output] = made
            return
        programs = [self._graph(branch, names, inputs=()) for branch in branches]
        if any(len(p.outputs) != len(outputs) for p in programs):
            raise OnnxError(f"load: node {name!r} (If) has branches with other outputs than it")
        program.steps.append(Branch(inputs[0], programs, [define(o) for o in outputs], name))

    def _loop(
        self, node: Any, name: str, inputs: list[str], names: dict[str, str], define: Any, program: Program
    ) -> None:
        graphs = self._attributes(node, name)
        inputs = inputs + [""] * (2 - len(inputs))
        if "body" not in graphs:
            raise OnnxError(f"load: node {name!r} (Loop) has no body")
        body = self._graph(graphs["body"], names, inputs=())
        if len(body.inputs) != len(inputs) or len(body.outputs) < len(inputs) - 1:
            raise OnnxError(f"load: node {name!r} (Loop) has {len(inputs)} inputs, but its body {len(body.inputs)}")
        stated = [_stated(value) for value in graphs["body"].output]
        program.steps.append(Loop(body, inputs, [define(o) if o else "" for o in node.output], name, stated))

    def _scan(
        self, node: Any, name: str, inputs: list[str], names: dict[str, str], define: Any, program: Program
    ) -> None:
        given = self._attributes(node, name)
        if "body" not in given or "num_scan_inputs" not in given:
            raise OnnxError(f"load: node {name!r} (Scan) has no body or no `num_scan_inputs`")
        body, count = self._graph(given["body"], names, inputs=()), int(given["num_scan_inputs"])
        if not 1 <= count <= len(inputs) or len(body.inputs) != len(inputs) or "" in inputs:
            raise OnnxError(f"load: node {name!r} (Scan) has {len(inputs)} inputs, but its body {len(body.inputs)}")
        results = len(body.outputs) - (len(inputs) - count)
        program.steps.append(
            Scan(
                body, inputs, [define(o) if o else "" for o in node.output], name, count,
                given.get("scan_input_axes", (0,) * count), given.get("scan_input_directions", (0,) * count),
                given.get("scan_output_axes", (0,) * results), given.get("scan_output_directions", (0,) * results),
            )
        )  # fmt: skip


def _stated(value: Any) -> tuple[Any, tuple[int, ...]] | None:
    """The dtype and shape of an output of a graph, if the file states them."""
    port = port_of(value)
    sizes = () if port.sizes is None else port.sizes
    known = tuple(n for n in sizes if isinstance(n, int))
    return None if port.dtype is None or port.sizes is None or known != sizes else (port.dtype, known)


def _check_text(name: Any) -> None:
    """OnnxError for a name that is not UTF-8, which protobuf returns as bytes."""
    if not isinstance(name, str):
        raise OnnxError(f"load: the name {name!r} is not text; the file is damaged")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:20]))
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
