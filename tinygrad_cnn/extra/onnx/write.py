"""What the writers of the table call, to make values, nodes and constants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .errors import OnnxError, package
from .schemas import dtype_named, port_at, schema, type_name
from .sizes import FIXED, Sizes
from .trace import Record, Trace
from .value import Value

END = np.iinfo(np.int64).max
FAR = 10**8
"""A slice bound of at least this much stands for the end of the axis."""
ELEMENTWISE = frozenset([
    "Abs", "Add", "And", "Cast", "Clip", "Div", "Equal", "Erf", "Exp", "Floor", "Greater", "GreaterOrEqual", "Less",
    "LessOrEqual", "Log", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Sigmoid", "Sign", "Softplus", "Sqrt", "Sub",
    "Tanh", "Where", "Xor",
])  # fmt: skip


class Writer(Sizes):
    """The nodes and constants written so far, and the op that is written now."""

    def __init__(self, traces: Sequence[Trace], opset: int, names: Mapping[int, str]) -> None:
        super().__init__()
        self.traces, self.opset = traces, opset
        self.parameters = names  # by identity of the array
        self.nodes: list[Any] = []
        self.constants: dict[str, Value] = {}
        self.values: dict[int, Value] = {}  # by identity of the array in the first trace
        self.taken: set[str] = set(names.values())
        self._next: dict[str, int] = {}  # by name, the number from which on it may be free
        self.users: dict[int, list[Record]] = {}  # by identity of an array, the ops that take it
        self.kept: set[int] = set()  # arrays that are outputs
        self.given: dict[int, Value] = {}  # results of records that need not be written
        self.written: dict[str, str] = {}  # by name of a node, the op and its place in words
        self.record: Record
        self.index = 0
        self.out: Value
        self._helper = package("export").helper
        self._ints: dict[Any, Value] = {}

    # Errors

    def refuse(self, condition: Any, why: str) -> None:
        """Raise OnnxError, with the place of the op, if the condition holds."""
        if condition:
            raise OnnxError(f"export: {self.place()} {why}")

    def refuse_size(self, condition: Any, why: str) -> None:
        """Raise OnnxError about a dynamic size, with the remedy, if the condition holds."""
        self.refuse(condition, why + FIXED)

    def place(self) -> str:
        """The op, its module and its line, in words."""
        if not hasattr(self, "record"):
            return "an output"
        record = self.record
        return f"op `{record.op.name}` in {record.path or 'the model'}, line {record.line},"

    # Values

    def unique(self, name: str) -> str:
        """`name`, with a number appended if it is taken."""
        found, i = name, self._next.get(name, 1)
        while found in self.taken:
            found, i = f"{name}_{i}", i + 1
        self._next[name] = i
        self.taken.add(found)
        return found

    def constant(self, array: np.ndarray, name: str = "") -> Value:
        """A constant with the values of an array."""
        path = self.record.call if hasattr(self, "record") else ""
        found = Value(name or self.unique(f"{path}/constant"), [array.shape], array.dtype, array)
        found.shapes = [array.shape] * len(self.traces)
        self.constants[found.name] = found
        return found

    def ints(self, numbers: Iterable[int]) -> Value:
        """A 1-D constant of integers."""
        key = tuple(int(n) for n in numbers)
        if key not in self._ints:
            self._ints[key] = self.constant(np.array(key, np.int64))
        return self._ints[key]

    def number(self, value: float, dtype: Any) -> Value:
        """A 0-D constant."""
        return self.constant(np.array(value, dtype))

    def value(self, array: Any) -> Value:
        """The value of an array of the first trace: a constant if no input affects it."""
        if isinstance(array, Value):
            return array
        if id(array) not in self.values:
            self.values[id(array)] = self._outside(array)
        return self.values[id(array)]

    def _outside(self, array: np.ndarray) -> Value:
        self.refuse(id(array) in self.traces[0].depends, "needs a value that was not written")
        name = self.parameters.get(id(array), "")
        made = self.traces[0].made.get(id(array))
        if not name and made is not None and made.op.name == "reshape":  # of a parameter that nothing else uses
            whole = made.inputs[0]
            if id(whole) in self.parameters and len(self.users.get(id(whole), ())) == 1:
                name = self.parameters[id(whole)]
        return self.constant(array, name if name not in self.constants else "")

    def operand(self, i: int) -> Any:
        """The i-th input of the op: a value, a number or None."""
        given = self.record.inputs[i]
        if given is None:
            return None
        all_given = [t.records[self.index].inputs[i] for t in self.traces]
        kinds = {isinstance(x, np.ndarray) for x in all_given}
        self.refuse_size(len(kinds) > 1, "is given an array for some sizes of a dynamic axis, and a number for others")
        if isinstance(given, np.ndarray) and id(given) not in self.traces[0].depends:
            return self.varying(given, all_given)
        if isinstance(given, np.ndarray):
            return self.value(given)
        if any(x != given and not (x != x and given != given) for x in all_given):
            return self._varying_number(given, all_given)
        return given

    def _varying_number(self, given: Any, numbers: Sequence[Any]) -> Value:
        """A number that depends on dynamic sizes: a size, or 1 / size."""
        inverse = isinstance(given, float) and all(0 < x <= 1 and 1 / round(1 / x) == x for x in numbers)
        whole = [round(1 / x) if inverse else x for x in numbers]
        self.refuse_size(
            not all(isinstance(x, int) for x in whole),
            f"has the number {given!r}, which changes with the size of a dynamic axis",
        )
        size = self.node("Squeeze", self.size(tuple(whole)))
        return self.node("Reciprocal", self.cast(size, self.out.dtype)) if inverse else size  # type: ignore[no-any-return]

    def varying(self, array: np.ndarray, arrays: Sequence[np.ndarray]) -> Value:
        """A constant whose size may differ from trace to trace, if its elements are equal along the axes that differ."""
        if all(
            a is array or (a.shape == array.shape and np.array_equal(a, array, equal_nan=a.dtype.kind in "fc"))
            for a in arrays
        ):
            return self.value(array)
        if array.size == 1 and array.dtype.kind in "iuf" and all(a.shape == array.shape for a in arrays):
            numbers = [int(x) if float(x).is_integer() else x for x in (a.item() for a in arrays)]
            found = self.as_dtype(self._varying_number(numbers[0], numbers), array.dtype)
            return self.node("Reshape", found, self.ints(array.shape)) if array.shape else found
        axes = [i for i in range(array.ndim) if len({a.shape[i] if a.ndim == array.ndim else -1 for a in arrays}) > 1]
        first = array[tuple(slice(0, 1) if i in axes else slice(None) for i in range(array.ndim))]
        same = (
            axes
            and all(array.shape[i] for i in axes)
            and all(
                a.ndim == array.ndim
                and np.array_equal(a, np.broadcast_to(first, a.shape), equal_nan=a.dtype.kind in "fc")
                for a in arrays
            )
        )
        self.refuse_size(not same, f"is given an array {array.shape} that changes with the size of a dynamic axis")
        whole = Value("", [a.shape for a in arrays], array.dtype)
        return self.node("Expand", self.constant(first), self.shape(whole))  # type: ignore[no-any-return]

    def is_array(self, x: Any) -> bool:
        """Whether x is a value."""
        return isinstance(x, Value)

    def made(self, value: Any, function: Any) -> Record | None:
        """The record that made a value, if its op is that of `function`."""
        record = self.record_of(value)
        return record if record is not None and record.op is function.op else None

    def record_of(self, value: Any) -> Record | None:
        """The record that made a value."""
        for key, known in self.values.items() if isinstance(value, Value) else ():
            if known is value:
                return self.traces[0].made.get(key)
        return None

    def only_user(self) -> Record | None:
        """The record that takes this op's output, if exactly one does and the output is no result of the model."""
        output = self.record.output
        users = self.users.get(id(output), [])
        return users[0] if len(users) == 1 and id(output) not in self.kept else None

    def absorb(self, user: Record, result: Value) -> None:
        """Let `result` stand for the output of `user`, for which no node is written then."""
        self.given[id(user)] = result

    # Nodes

    def node(self, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Write a node and return its outputs. Inputs are values, arrays, None, or numbers of the first value's dtype."""
        given = [self._input(x, inputs) for x in inputs]
        while given and given[-1] is None:
            given.pop()
        known = self._schema(operator)
        given = [v and self._accepted(v, operator, port_at(known.inputs, i)) for i, v in enumerate(given)]
        given = [v and self._agreeing(v, i, given, known) for i, v in enumerate(given)]
        path = self.record.call if hasattr(self, "record") else ""
        name = self.unique(f"{path}/{operator}" if path else operator)
        names = [name] + [self.unique(f"{name}.{i}") for i in range(1, outputs)]
        made = self._helper.make_node(
            operator, ["" if v is None else v.name for v in given], names, name=name, **attributes
        )
        self.nodes.append(made)
        if hasattr(self, "record"):
            self.written[name] = self.place()
        shapes = self._guess(operator, given)
        found = [Value(n, shapes, self._made(known, i, given)) for i, n in enumerate(names)]
        return found[0] if outputs == 1 else found

    def _schema(self, operator: str) -> Any:
        """ONNX's schema of an operator; OnnxError if this opset lacks it."""
        found = schema(operator, self.opset)
        if found is None:
            newest = schema(operator)
            self.refuse(True, f"needs the operator {operator}, of opset {newest.since_version}; raise `opset`")
        return found

    def _accepted(self, value: Value, operator: str, port: Any) -> Value:
        """The value in a dtype that the operator accepts: its own, or else that of the op's output."""
        if type_name(value.dtype) in port.types:
            return value
        wanted = self.out.dtype if value.dtype.kind in "biu" and self.out.dtype.kind == "f" else value.dtype
        self.refuse(
            type_name(wanted) not in port.types,
            f"needs the operator {operator}, which ONNX does not define for {value.dtype}; convert its input with astype",
        )
        return self.as_dtype(value, wanted)

    def _agreeing(self, value: Value, i: int, given: Sequence[Value | None], known: Any) -> Value:
        """An input: integers become floating-point if another input that must have the same type is."""
        alike = [
            v.dtype
            for j, v in enumerate(given)
            if v and port_at(known.inputs, j).type_str == port_at(known.inputs, i).type_str
        ]
        real = [dtype for dtype in alike if dtype.kind == "f"]
        return self.as_dtype(value, real[0]) if real and value.dtype.kind != "f" else value

    def _made(self, known: Any, i: int, given: Sequence[Value | None]) -> Any:
        """The dtype of an output: the only legal one; else that of an input of the same type; else the first input's."""
        port = port_at(known.outputs, i)
        if len(port.types) == 1:
            return dtype_named(*port.types)
        alike = [v.dtype for j, v in enumerate(given) if v and port_at(known.inputs, j).type_str == port.type_str]
        return [*alike, *(v.dtype for v in given if v), np.float32][0]

    def _input(self, x: Any, inputs: Sequence[Any]) -> Value | None:
        if x is None or isinstance(x, Value):
            return x
        if isinstance(x, np.ndarray):
            return self.value(x)
        return self.number(x, next(v.dtype for v in inputs if isinstance(v, Value)))

    def _guess(self, operator: str, given: Sequence[Value | None]) -> Sequence[tuple[int, ...]]:
        """The output's shapes, as far as writers ask for them: all axes, the first axis, or none."""
        values = [v for v in given if v is not None]
        if operator in ("Conv", "ConvTranspose", "AveragePool", "MaxPool"):
            return [shape[:1] for shape in values[0].shapes]
        if operator not in ELEMENTWISE:
            return [()] * len(self.traces)
        try:
            return [np.broadcast_shapes(*(v.shapes[i] for v in values)) for i in range(len(self.traces))]
        except ValueError:  # not all axes are known
            return [()] * len(self.traces)

    def cast(self, value: Value, dtype: Any) -> Value:
        """The value in another dtype."""
        code = self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        y: Value = self.node("Cast", value, to=code)
        y.dtype, y.shapes = np.dtype(dtype), value.shapes
        return y

    def as_dtype(self, x: Any, dtype: Any) -> Value:
        """A value or number in a dtype."""
        if not isinstance(x, Value):
            return self.number(x, dtype)
        if x.dtype == dtype:
            return x
        if x.constant is not None and x.name not in self.parameters.values():
            return self.constant(x.constant.astype(dtype))
        return self.cast(x, dtype)

    def as_index(self, x: Any) -> Value:
        """The value as int64, or int32 if that is its dtype: ONNX's indices."""
        return self.as_dtype(x, np.int64) if not isinstance(x, Value) or x.dtype != np.int32 else x

    def same(self, dtype: Any, *inputs: Any) -> list[Value]:
        """The inputs in one dtype; None means the dtype to which NumPy promotes them."""
        if dtype is None:
            dtype = np.result_type(*(x.dtype if isinstance(x, Value) else x for x in inputs))
        return [self.as_dtype(x, dtype) for x in inputs]

    def reduce(self, operator: str, x: Value, axes: Iterable[int], keepdims: bool) -> Value:
        """A reduction. The axes are an input from opset 18 on, for sums from 13 on; before that, an attribute."""
        over = [int(i) for i in axes]
        if not over:  # an empty list would mean all axes
            if operator == "ReduceLogSumExp":
                return x
            return self.node("Abs", x) if operator in ("ReduceL1", "ReduceL2") else x
        if self.opset >= 18 or operator == "ReduceSum":
            y = self.node(operator, x, self.ints(over), keepdims=int(keepdims))
        else:
            y = self.node(operator, x, axes=over, keepdims=int(keepdims))
        kept = [[1 if i in over else n for i, n in enumerate(s)] for s in x.shapes]
        y.shapes = [tuple(n for i, n in enumerate(s) if keepdims or i not in over) for s in kept]
        y.dtype = x.dtype
        return y  # type: ignore[no-any-return]

    def cut(self, x: Value, axis: int, start: int, stop: int) -> Value:
        """A slice of an axis."""
        return self.node("Slice", x, self.ints([start]), self.ints([stop]), self.ints([axis]))  # type: ignore[no-any-return]

    def sliced(self, y: Value, axis: int, parts: Sequence[slice], x: Value) -> Value:
        """Slice an axis of x by the Python slices of all traces; y is x, possibly sliced along other axes already."""
        sizes, part = x.sizes(axis), parts[0]
        step = 1 if part.step is None else int(part.step)
        starts, stops = ([getattr(p, which) for p in parts] for which in ("start", "stop"))
        whole = all(n is None or n == size for n, size in zip(stops, sizes, strict=True))
        if not x.is_dynamic(axis) and len({p.indices(sizes[0]) for p in parts}) == 1:
            start, stop, step = part.indices(sizes[0])
            if (start, stop, step) == (0, sizes[0], 1):
                return y
            if not range(start, stop, step):
                return self.cut(y, axis, 0, 0)
            # After a negative stop, ONNX would count from the end again.
            ends = self.ints([start]), self.ints([stop if stop >= 0 else -END])
            return self.node("Slice", y, *ends, self.ints([axis]), self.ints([step]))  # type: ignore[no-any-return]
        self.refuse_size(
            len({p.step for p in parts}) > 1, "is sliced by a step that changes with the size of a dynamic axis"
        )
        if step == 1 and whole and not any(starts):
            return y
        if step < 0 and len(set(starts)) == 1 and (starts[0] or 0) < -1:
            empty = [n is not None and starts[0] <= n < 0 for n in stops]
            if all(empty):
                return self.cut(y, axis, 0, 0)
            self.refuse_size(any(empty), "is sliced in another way for other sizes of a dynamic axis")
            # If the start lies before the first element, ONNX begins at the first, and NumPy selects nothing. So cut off the
            # elements behind the start, and begin at the end.
            behind = -1 - int(starts[0])
            y = self.cut(y, axis, 0, -behind)
            starts, sizes = [None] * len(starts), tuple(n - behind for n in sizes)
            stops = [n + behind if n is not None and n < 0 else n for n in stops]
        first = self._bound(starts, sizes, 0 if step > 0 else -1)
        last = self._bound(stops, sizes, END if step > 0 else -END)
        return self.node("Slice", y, first, last, self.ints([axis]), self.ints([step]))  # type: ignore[no-any-return]

    def _bound(self, given: Sequence[Any], sizes: Sequence[int], default: int) -> Value:
        """A slice bound that serves all traces: none, one number, the size of the axis, or another size."""
        if all(n is None for n in given):
            return self.ints([default])
        self.refuse_size(None in given, "is sliced in another way for other sizes of a dynamic axis")
        if len(set(given)) == 1:
            at, largest = int(given[0]), max(sizes)
            self.refuse_size(
                len(set(sizes)) > 1 and not -largest <= at < largest and abs(at) < FAR,
                f"cuts a dynamic axis at {at}, beyond the {largest} elements that it was called with; give a "
                "larger example",
            )
            return self.ints([at])
        return self.ints([END]) if tuple(given) == sizes else self.size(tuple(int(n) for n in given))

    def param(self, name: str, record: Record | None = None) -> list[Any]:
        """A parameter of this or another op, in all traces."""
        index = self.index if record is None else record.index
        return [t.records[index].params[name] for t in self.traces]

    def given_in(self, i: int, record: Record) -> list[Any]:
        """The i-th input of a record in all traces."""
        return [t.records[record.index].inputs[i] for t in self.traces]

    def variants(self, x: Value, axis: int, taps: Any) -> Iterable[tuple[int, int, Any]]:
        """For each trace: the size of an axis before and after, and the parameter `taps`."""
        for i, trace in enumerate(self.traces):
            yield x.shapes[i][axis], self.out.shapes[i][axis], trace.records[self.index].params["taps"]
