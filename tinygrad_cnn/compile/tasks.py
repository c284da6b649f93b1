"""How a step computes its value: by a task that is prepared once, or by the op on the arrays of the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.graph import Op
from ..kernels.copies import flattened
from ..kernels.parallel import chunks
from ..kernels.parallel.task import Work
from ..tensor import Tensor
from .codegen import Form, leaves, maker, pattern
from .slots import Slot, Step, Use, is_ours

if TYPE_CHECKING:
    from .course import Course

SMALL_BYTES, IMAGES_BYTES = 1 << 14, 1 << 19
"""Up to this size, copying an operand from outside is cheaper than preparing the task in every call; for kernels that are
parallel over a batch, which prepare more."""

KEPT_BYTES = 1 << 13
"""Up to this size, a value has memory of its own, and its Tensor and node are kept while nobody else holds them."""

COPIED_BYTES = 1 << 14
"""Up to this size, copying a value to where later calls of a walk read it is cheaper than preparing these in every run."""

TINY_BYTES = 1 << 10
"""Up to this size, a value that is still alive after a call is copied out of the memory that its task fills."""


def readable(slot: Slot, ops: Sequence[Op | None]) -> Any:
    """What prepared tasks of some ops may read in place of a slot: an array that is the same in every call, or a number; None
    if there is none.
    """
    if slot.is_number or slot.fixed is not None:
        return slot.array if slot.is_number else slot.fixed
    if slot.is_outside and slot.array is not None:
        if not slot.moves:
            slot.fixed = slot.array
        elif 0 < slot.nbytes <= most_copied(ops) and is_dense(slot.shape, slot.strides, slot.dtype.itemsize):
            slot.fixed, slot.copied = np.empty_like(slot.array), True
    return slot.fixed


def most_copied(ops: Sequence[Op | None]) -> int:
    """The largest operand from outside that is copied for some ops."""
    return IMAGES_BYTES if any(op is not None and op.along for op in ops) else SMALL_BYTES


def prepare(step: Step, inputs: Sequence[Any], course: Course) -> Callable[..., Any]:
    """The function that takes a step, made anew unless it fits the operands: see `codegen.source`."""
    tensors = tuple([isinstance(x, Tensor) for x in inputs])
    if step.take is not None and step.tensors == tensors:
        return step.take
    slot, before = step.output, step.output.fixed
    course.kept.drop(step)
    how = _kept_view(step) or _into_memory(step, course) or _plain(step, course)
    step.tensors, step.copies = tensors, how.memory == "copy"
    kinds = "".join(map(_kind, step.uses, tensors))
    numbers = [use.slot.array for use, kind in zip(step.uses, kinds, strict=True) if kind == "n"]
    known = [*numbers, *step.recorded]
    again = [x for x, kind in zip(inputs, kinds, strict=True) if kind == "n"]  # in this call
    again += () if step.varies else step.params
    patterns = tuple([None if x is y else pattern(x) for x, y in zip(known, again, strict=True)])
    slots = [use.slot for use in step.uses]
    twins = tuple([j if (j := slots.index(s)) < i and kinds[j] in "mr" else None for i, s in enumerate(slots)])
    form = Form(
        kinds, twins, patterns, how.copied, how.compute, how.memory, step.parents, step.saved, step.recording, step.varies,
        bool(step.releases),
    )  # fmt: skip
    constants = [
        leaf for x, parts in zip(known, patterns, strict=True) for leaf in ([x] if parts is None else leaves(x))
    ]
    if how.memory == "kept":
        course.kept.keep(step, how.array)
    view = step.outer.view if how.memory == "own" else None  # type: ignore[union-attr]
    step.take = maker(form)(
        *slots, course, step, step.op, slot, how.call, slot.fixed, view, step.block,
        partial(_renewed, step, course), partial(_strayed, step, course), constants, slot.shape, slot.strides, slot.dtype,
        step.releases, course.loose.append, slot.tensor, None if slot.tensor is None else slot.node,
    )  # fmt: skip
    if step.copies:
        course.watch_copies()
    course.link(step.previous)
    course.invalidate(slot, only_views=before is None or slot.fixed is before)
    return step.take


class How(NamedTuple):
    """How the value of a step is computed: see `Form`."""

    compute: str
    call: Any
    memory: str = ""
    copied: tuple[int, ...] = ()
    array: Any = None
    """The array that is kept."""


def _kind(use: Use, is_tensor: bool) -> str:
    """The kind of an operand: see `Form`."""
    slot = use.slot
    if slot.is_number:
        return "v" if use.binds and slot.moves else "n"
    if use.binds and slot.moves:
        return "m" if is_tensor else "r"
    if is_tensor:
        return "d" if not use.is_placed else "k" if slot.tensor is not None and slot.node is not None else "t"
    return "c" if use.binds else "a"


def _plain(step: Step, course: Course) -> How:
    """The op's definition or kernel, on the arrays of the call."""
    _free(step, course)
    step.output.fixed = _fixed_view(step) if step.is_view else None
    return How(*_calling(step))


def _calling(step: Step) -> tuple[str, Any]:
    """What computes the value of a step in a new array, as in `How`."""
    op, sig = step.op, step.op.signature
    given = [*_arrays(step), *(f"{name}=params[{i}]" for i, name in enumerate(sig.params))]
    target = ", ".join(["y", *(f"r{i}" for i in range(len(sig.residuals)))])
    return f"{target} = call({', '.join(given)})", op.raw if op.prepare is None else op.run


def _arrays(step: Step) -> list[str]:
    return [f"{{{i}}}" for i in range(len(step.uses))]


def _into_memory(step: Step, course: Course) -> How | None:
    """The op with its value in memory of the step; None if the op is better called plainly."""
    slot = step.output
    if step.varies or step.is_view or (step.escapes and slot.nbytes > TINY_BYTES):
        return None
    fills, is_copied = takes_out(step.op, slot, [use.slot for use in step.uses]), _is_copied(step)
    if not fills and not is_copied:
        return None
    memory = "copy" if step.escapes else "kept" if step.keeps and slot.nbytes <= KEPT_BYTES else "own"
    if step.block is None:
        step.block = course.blocks.take(slot.nbytes, alone=memory != "own")
        slot.fixed = step.block.inner(slot.shape, slot.dtype, slot.strides)
        step.outer = step.block.outer(slot.shape, slot.dtype, slot.strides)
    assert slot.fixed is not None
    assert step.outer is not None
    with course.pool.lends():
        compute, call, copied = _filling(step, slot.fixed) if fills else ("", None, ())
    if call is None and not is_copied:
        return None
    if call is None:
        compute, call = _calling(step)
    return How(compute, call, memory, copied, step.outer.view() if memory == "kept" else None)


def _is_copied(step: Step) -> bool:
    """Whether a small value is computed as usual and copied, so that tasks after it find it in the same memory."""
    slot = step.output
    fine = not step.strays and is_ours(step.op) and not step.op.signature.residuals
    return fine and 0 < slot.nbytes <= KEPT_BYTES and is_dense(slot.shape, slot.strides, slot.dtype.itemsize)


def _filling(step: Step, out: np.ndarray) -> tuple[str, Any, tuple[int, ...]]:
    """What fills memory with the value of a step, as in `How`: a task prepared for arrays that stay the same, if they do."""
    op, params = step.op, dict(zip(step.op.signature.params, step.params, strict=True))
    read = [readable(use.slot, [step.op]) for use in step.uses]
    if all(x is not None or use.slot.is_number for x, use in zip(read, step.uses, strict=True)):
        task = bound(op, out, read, params, step.uses[0].slot.shared)
        copied = tuple([i for i, use in enumerate(step.uses) if use.slot.copied])
        return "call()", task.prepared() if isinstance(task, Work) else task, copied
    given = ", ".join(_arrays(step))
    if op.prepare is None and isinstance(op.raw, np.ufunc):
        return f"call({given}, out=fixed)", partial(op.raw, **params) if params else op.raw, ()
    return f"call(fixed, {given})()", partial(op.bind, **params) if params else op.bind, ()


def _renewed(step: Step, course: Course, got: Op, inputs: Any, params: Any) -> Any:
    """Take a step whose memory is held outside with other memory. Its later values are taken to be held as well."""
    step.take = None
    _free(step, course)
    step.escapes = True
    course.invalidate(step.output)
    return prepare(step, inputs, course)(got, inputs, params)


def _strayed(step: Step, course: Course) -> None:
    """A value has another form than in the record: its step has no memory from now on, and the op makes this call."""
    step.strays = True
    course.kept.drop(step)
    step.take = None
    course.link(step.previous)
    _free(step, course)
    course.invalidate(step.output)
    course.stop()


def _free(step: Step, course: Course) -> None:
    """Give up the memory of a step."""
    if step.block is not None:
        course.blocks.give_up(step.block)
    step.output.fixed = step.outer = step.block = None


def _kept_view(step: Step) -> How | None:
    """The view that a step makes of an array that stays the same, and of the memory that tasks read in its place."""
    slots = [use.slot for use in step.uses]
    if not step.is_view or not step.keeps:
        return None
    if not all(x.is_number or (x.is_outside and not x.moves) or x.tensor is not None for x in slots):
        return None
    fixed = _fixed_view(step)
    view = None if fixed is None else _view(step, [slot.array for slot in slots])
    if view is None:
        return None
    owner = next((slot.step for slot in slots if slot.step is not None), None)
    step.block = None if owner is None else owner.block
    step.output.fixed = fixed
    return How("", None, "kept", (), view)


def _fixed_view(step: Step) -> np.ndarray | None:
    """The view that a step makes, of the fixed array of its operand; None if there is none, or other code would run."""
    read = [readable(use.slot, [step.op]) for use in step.uses]
    if step.varies or any(use.slot.copied for use in step.uses) or not is_ours(step.op):
        return None
    if any(x is None and not use.slot.is_number for x, use in zip(read, step.uses, strict=True)):
        return None
    return _view(step, read)


def _view(step: Step, arrays: Sequence[Any]) -> np.ndarray | None:
    """The view that a step makes of some arrays, if it is one, and of the form that was recorded."""
    slot, op = step.output, step.op
    made = op.raw(*arrays, **dict(zip(op.signature.params, step.params, strict=True)))
    view = made[0] if op.signature.residuals else made
    is_view = isinstance(view, np.ndarray) and any(
        isinstance(x, np.ndarray) and np.may_share_memory(x, view) for x in arrays
    )
    if not is_view or view.strides != slot.strides or view.shape != slot.shape:
        return None
    return view.view() if any(view is x for x in arrays) else view  # type: ignore[no-any-return]


def bound(
    op: Op, out: np.ndarray, inputs: Sequence[Any], params: dict[str, Any], shared: dict[Any, Any] | None
) -> Callable[[], object] | None:
    """A task that computes an op of fixed arrays in `out`; None if the op's definition is better called.

    `shared` is what kernels keep for all tasks that read the first input.
    """
    if op.prepare is None and isinstance(op.raw, np.ufunc):
        given = (*as_arrays(op.raw, inputs, out), out)
        *arrays, target = flattened(*given) or given
        if 1 < target.size >= chunks.LARGE and all(
            isinstance(x, np.ndarray) and x.ndim in (0, target.ndim) for x in arrays
        ):
            return chunks.shared(partial(_fill, op.raw, params), out, target, *arrays)
        if op.raw in (np.maximum, np.minimum):  # NumPy 2.4 warns of a third position in these two
            return partial(op.raw, *arrays, out=target, **params)
        return partial(op.raw, *arrays, target, **params)
    task = None
    if op.prepare is not None:
        more = {"shared": {} if shared is None else shared} if op.shares else {}
        task = op.prepare(out, *inputs, **params, **more)
    if task is None and out.nbytes <= COPIED_BYTES:
        # A kernel of ours chooses by the forms of its inputs: if it declines now, it will again.
        declines = op.prepare is None or (is_ours(op) and op.prepare(None, *inputs, **params) is None)
        task = partial(_copy_of, out, op.raw if declines else op.run, inputs, params)
    return task


def _fill(ufunc: np.ufunc, params: dict[str, Any], target: np.ndarray, *arrays: np.ndarray) -> None:
    ufunc(*arrays, out=target, **params)


def _copy_of(out: np.ndarray, function: Callable[..., Any], inputs: Sequence[Any], params: dict[str, Any]) -> None:
    y = np.asarray(function(*inputs, **params))
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

    With `out`, NumPy goes through reversed memory from its end, and without from its start, which may give other bits.
    """
    if not op.takes_out or op.signature.residuals or not slot.nbytes:
        return False
    if any(min(x.strides, default=0) < 0 for x in inputs if not x.is_number):
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
