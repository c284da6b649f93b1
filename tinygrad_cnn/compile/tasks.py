"""How a step computes its value: by a task that is prepared once, or by the op on the arrays of the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.graph import Op
from ..kernels.copies import flattened
from ..kernels.parallel.task import Work
from ..tensor import Tensor
from .codegen import Form, maker
from .slots import Slot, Step, Use, dumped

if TYPE_CHECKING:
    from .course import Course

SMALL_BYTES = 1 << 19
"""Up to this size, copying an operand from outside is cheaper than preparing the task again."""

COPIED_BYTES = 1 << 14
"""Up to this size, copying a value to where later tasks read it is cheaper than preparing these in every call."""

TINY_BYTES = 1 << 10
"""Up to this size, a value that is still alive after a call is copied out of the memory that its task fills."""


def readable(slot: Slot) -> Any:
    """What a prepared task may read in place of a slot: an array that is the same in every call, or a number; None if there is
    none."""
    if slot.is_number or slot.fixed is not None:
        return slot.array if slot.is_number else slot.fixed
    if slot.is_outside and slot.array is not None:
        if not slot.moves:
            slot.fixed = slot.array
        elif 0 < slot.nbytes <= SMALL_BYTES and is_dense(slot.shape, slot.strides, slot.dtype.itemsize):
            slot.fixed, slot.copied = np.empty_like(slot.array), True
    return slot.fixed


def prepare(step: Step, inputs: Sequence[Any], course: Course) -> Callable[..., Any]:
    """The function that takes a step, made anew unless it fits the operands."""
    tensors = tuple([isinstance(x, Tensor) for x in inputs])
    if step.take is not None and step.tensors == tensors:
        return step.take
    slot, before = step.output, step.output.fixed
    found = _into_memory(step, course)
    if found is None:
        _free(step, course)
        slot.fixed = _fixed_copy(slot) if not step.is_view else _fixed_view(step)
        found = _plain(step), (), ""
    task, copied, memory = found
    keeps = slot.fixed is not None and not memory and not step.is_view
    step.tensors, step.copies = tensors, keeps or memory == "copy"
    form = Form(
        "".join(map(_kind, step.uses, tensors)), copied, step.parents, step.saved, len(step.recorded), step.varies,
        step.recording, memory, keeps, bool(step.releases),
    )  # fmt: skip
    step.take = maker(form)(
        *[use.slot for use in step.uses], course, step, step.op, slot, task, step.own, step.block,
        partial(_renewed, step, course), step.recorded, dumped(step.recorded), slot.shape, slot.strides, slot.dtype,
        step.residuals, step.releases, step.children[0] if len(step.children) == 1 else None,
    )  # fmt: skip
    if before is not None and slot.fixed is not before:
        course.invalidate(slot)
    return step.take


def _kind(use: Use, is_tensor: bool) -> str:
    """The kind of an operand: see `Form`."""
    slot = use.slot
    if slot.is_number:
        return "v" if use.binds and slot.moves else "n"
    if use.binds and slot.moves:
        return "m" if is_tensor else "r"
    if is_tensor:
        return "t" if use.is_placed else "d"
    return "c" if use.binds else "a"


def _plain(step: Step) -> Callable[[], Any]:
    """The op's definition or kernel, on the arrays of the call."""
    op, slots, residuals = step.op, [use.slot for use in step.uses], step.residuals
    call, names = op.raw if op.prepare is None else op.run, op.signature.params
    several = bool(op.signature.residuals)
    constants = None if step.varies else dict(zip(names, step.params, strict=True))

    def run() -> Any:
        params = dict(zip(names, step.params, strict=True)) if constants is None else constants
        y = call(*[slot.array for slot in slots], **params)
        if several:
            y, *rest = y
            for slot, value in zip(residuals, rest, strict=False):
                slot.array = value
        return y if y.__class__ is np.ndarray else np.asarray(y)

    return run


def _into_memory(step: Step, course: Course) -> tuple[Callable[[], Any], tuple[int, ...], str] | None:
    """A task that fills memory of the step, the operands to copy before, and what is returned: see `Form`. None if the op is
    better called plainly."""
    op, slot = step.op, step.output
    if step.varies or step.is_view or not takes_out(op, slot, [use.slot for use in step.uses]):
        return None
    if step.escapes and slot.nbytes > TINY_BYTES:
        return None
    read = [readable(use.slot) for use in step.uses]
    if step.block is None:
        step.block = course.blocks.take(step, slot.nbytes)
        slot.fixed = step.block.inner(slot.shape, slot.dtype, slot.strides)
        if step.escapes:
            step.own = partial(slot.fixed.copy, "K")
        else:
            step.own = step.block.outer(slot.shape, slot.dtype, slot.strides)
    out = slot.fixed
    assert out is not None
    params = dict(zip(op.signature.params, step.params, strict=True))
    memory = "copy" if step.escapes else "own"
    if any(x is None and not use.slot.is_number for x, use in zip(read, step.uses, strict=True)):
        slots = [use.slot for use in step.uses]
        return (lambda: op.bind(out, *[slot.array for slot in slots], **params)()), (), memory
    task = bound(op, out, read, params, step.uses[0].slot.shared)
    if task is None:
        return None
    copied = tuple([i for i, use in enumerate(step.uses) if use.slot.copied])
    return (task.prepared() if isinstance(task, Work) else task), copied, memory


def _renewed(step: Step, course: Course, inputs: Any, params: Any) -> Any:
    """Take a step whose memory is held outside with other memory. Its later values are taken to be held as well."""
    step.take = None
    _free(step, course)
    step.escapes = True
    course.invalidate(step.output)
    return prepare(step, inputs, course)(inputs, params)


def _free(step: Step, course: Course) -> None:
    """Give up the memory of a step."""
    if step.block is not None:
        course.blocks.give_up(step)
        step.output.fixed = step.own = step.block = None


def _fixed_copy(slot: Slot) -> np.ndarray | None:
    """Memory for a copy of a small value that its op allocates in every call, so that later steps can be prepared."""
    if (
        slot.fixed is None
        and 0 < slot.nbytes <= COPIED_BYTES
        and is_dense(slot.shape, slot.strides, slot.dtype.itemsize)
    ):
        return np.lib.stride_tricks.as_strided(
            np.empty(slot.nbytes // slot.dtype.itemsize, slot.dtype), slot.shape, slot.strides
        )
    return slot.fixed


def _fixed_view(step: Step) -> np.ndarray | None:
    """The view that a step makes, of the fixed array of its operand; None if there is none."""
    read = [readable(use.slot) for use in step.uses]
    if not step.is_view or step.varies or any(use.slot.copied for use in step.uses):
        return None
    if any(x is None and not use.slot.is_number for x, use in zip(read, step.uses, strict=True)):
        return None
    slot, op = step.output, step.op
    made = op.raw(*read, **dict(zip(op.signature.params, step.params, strict=True)))
    view = made[0] if op.signature.residuals else made
    is_view = isinstance(view, np.ndarray) and any(
        isinstance(x, np.ndarray) and np.may_share_memory(x, view) for x in read
    )
    return view if is_view and view.strides == slot.strides and view.shape == slot.shape else None


def bound(
    op: Op, out: np.ndarray, inputs: Sequence[Any], params: dict[str, Any], shared: dict[Any, Any] | None
) -> Callable[[], object] | None:
    """A task that computes an op of fixed arrays in `out`; None if the op's definition is better called.

    `shared` is what kernels keep for all tasks that read the first input.
    """
    if isinstance(op.raw, np.ufunc):
        given = (*as_arrays(op.raw, inputs, out), out)
        *arrays, target = flattened(*given) or given
        if op.raw in (np.maximum, np.minimum):  # NumPy 2.4 warns of a third position in these two
            return partial(op.raw, *arrays, out=target, **params)
        return partial(op.raw, *arrays, target, **params)
    if op.prepare is None:
        return partial(_copy_of, out, op.raw, inputs, params) if out.nbytes <= COPIED_BYTES else None
    if op.shares:
        params = {**params, "shared": {} if shared is None else shared}
    return op.prepare(out, *inputs, **params)


def _copy_of(out: np.ndarray, raw: Callable[..., Any], inputs: Sequence[Any], params: dict[str, Any]) -> None:
    y = np.asarray(raw(*inputs, **params))
    if y.shape != out.shape:
        raise RuntimeError(f"compile: an op gave shape {y.shape}, and {out.shape} when it was recorded")
    np.copyto(out, y)


def as_arrays(ufunc: np.ufunc, inputs: Sequence[Any], out: np.ndarray) -> list[Any]:
    """The inputs of a ufunc, with Python numbers as arrays, which it takes faster, if the result keeps the same bits."""
    if all(isinstance(x, np.ndarray) for x in inputs):
        return list(inputs)
    dtypes = {x.dtype for x in (*inputs, out) if isinstance(x, np.ndarray)}
    if len(dtypes) > 1:
        dtypes.discard(np.dtype(bool))  # the result of a comparison
    if len(dtypes) != 1 or next(iter(dtypes)).kind != "f":
        return list(inputs)
    alike = next(iter(dtypes)).char * ufunc.nin
    if not any(form.startswith(f"{alike}->") for form in ufunc.types):  # as ldexp, which takes integers
        return list(inputs)
    return [np.array(x, *dtypes) if type(x) in (int, float) else x for x in inputs]


def takes_out(op: Op, slot: Slot, inputs: Sequence[Slot]) -> bool:
    """Whether an op can fill given memory with this value.

    With `out`, NumPy before 2.2 sums reversed memory from its end, and without from its start, which gives other bits.
    """
    if not op.takes_out or op.signature.residuals or not slot.nbytes:
        return False
    if not op.elementwise and any(min(x.strides, default=0) < 0 for x in inputs if not x.is_number):
        return False
    return is_dense(slot.shape, slot.strides, slot.dtype.itemsize)


def is_dense(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> bool:
    """Whether memory of this form has no gaps, in some order of its axes."""
    for stride, n in sorted(zip(strides, shape, strict=True)):
        if n > 1:
            if stride != itemsize:
                return False
            itemsize *= n
    return True
