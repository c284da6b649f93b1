"""The Tensor: an array that records the ops applied to it, for gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy import ndarray
from numpy.typing import DTypeLike, NDArray

from ..allocator import keep_by_default
from ..core import tracing
from ..core.backward import in_tensors, pull_back
from ..core.grad_mode import differentiating, enable_grad, is_grad_enabled, no_grad
from ..core.node import Argument, Leaf, Node
from ..core.registry import above, register_tensor
from ..frames import warn_user
from ..ops import compare, complex_numbers, elementwise, index, lists, replaced, shape
from ..ops.data import TensorLike, native, plain, to_array
from ..ops.lists import gather
from ..ops.real import dtype_of
from .methods import Methods

if TYPE_CHECKING:
    from ..transforms.hooks import Handle


class Tensor(Methods):
    """An n-dimensional array that records the ops applied to it, so that gradients can be taken.

    Args:
        data: an array (keeps its dtype), or Python numbers and nested lists of them (become float32, see
            :func:`set_default_dtype`). It is copied, in the machine's byte order; :func:`from_numpy` shares memory instead.
            Copying a Tensor is recorded; a list that holds Tensors is stacked, which is recorded too.
        requires_grad: make this a leaf whose gradient ``backward()`` computes into ``grad``. The new leaf is not connected
            to the graph of `data`: if there is one, a warning says so; ``Tensor(t.detach(), requires_grad=True)`` avoids it.
        dtype: convert to this dtype.

    Raises:
        TypeError: if `data` is not numeric, or `requires_grad` is asked of integers or Booleans.
        ValueError: if a nested list is ragged.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("__weakref__", "_array", "_grad", "_node")

    _array: NDArray[Any]
    _node: Node | Leaf | None
    _grad: Tensor | None  # unset until this is a leaf or has a gradient: most Tensors never are

    def __init__(self, data: Any, *, requires_grad: bool = False, dtype: DTypeLike | None = None) -> None:
        data = gather(data)
        dtype = None if dtype is None else dtype_of(type(self).__name__, dtype)
        if isinstance(data, Tensor):
            wanted = data.dtype if dtype is None else dtype
            made = elementwise.copy(data) if wanted == data.dtype else data.astype(wanted)
            self._array, self._node = made._array, made._node
        else:
            self._array, self._node = to_array(data, dtype), None
        if requires_grad:
            if self._node is not None:
                warn_user(
                    f"{type(self).__name__}: `data` requires a gradient, and a leaf that is copied from it passes none on "
                    "to it; give data.detach() if that is meant, or leave out `requires_grad` to record the copy"
                )
            self._node = None
            self.requires_grad = requires_grad

    @staticmethod
    def _of(data: NDArray[Any], node: Node | Leaf | None = None) -> Tensor:
        tensor = Tensor.__new__(Tensor)
        tensor._array = data
        tensor._node = node
        return tensor

    # Properties

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._array.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._array.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements."""
        return self._array.dtype

    @property
    def T(self) -> Tensor:
        """The transpose: all axes reversed."""
        return self.transpose()

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this Tensor."""
        return self._node is None or self._node.op is None

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor. May be set on a leaf."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, bool | np.bool):
            raise TypeError(f"requires_grad: it is {value!r:.60}; it must be True or False")
        if not self.is_leaf:
            raise RuntimeError(
                f"requires_grad: this Tensor is the result of `{self._op_name}` and not a leaf; use detach() for one "
                "without a graph"
            )
        if not value:
            self._node = None
        elif self._node is None:
            if self.dtype.kind not in "fc":
                raise TypeError(
                    f"requires_grad: only floating-point Tensors have gradients, this one is {self.dtype}; "
                    "convert it with astype(np.float32) first"
                )
            self._node = Leaf(self)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set :attr:`requires_grad` of this leaf, and return it. Errors are those of setting it.

        >>> import tinygrad_cnn as tg
        >>> tg.ones(2).requires_grad_()
        Tensor([1., 1.], dtype=float32, requires_grad=True)
        """
        self.requires_grad = requires_grad
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward()`` has summed into this leaf, or None. A warning for the result of a recorded op."""
        try:
            return self._grad
        except AttributeError:  # there has never been one
            if self._is_recorded:
                warn_user(
                    f"grad: this Tensor is {self._origin} and no leaf, so it gets no gradient; after w = w - lr * w.grad make "
                    "it a leaf again by w = w.detach().requires_grad_(), or take its gradient by register_hook"
                )
            return None

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if not self.is_leaf:
            raise RuntimeError(
                f"grad: this Tensor is the result of `{self._op_name}` and not a leaf; only leaves hold gradients"
            )
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: the value is a {type(value).__name__}; it must be a Tensor or None")
            if value.shape != self.shape or value.dtype != self.dtype:
                raise ValueError(
                    f"grad: the value is {value.dtype} {value.shape} but the Tensor is {self.dtype} {self.shape}; "
                    "a gradient has the shape and dtype of its Tensor"
                )
        if tracing.watchers:
            tracing.tracer().set_grad()
        self._grad = value

    @property
    def _op_name(self) -> str | None:
        return None if self._node is None or self._node.op is None else self._node.op.name

    @property
    def _is_recorded(self) -> bool:
        """Whether gradients pass from this Tensor to others: it is in a graph, and no leaf that the user made."""
        return self._node is not None and (self._node.op is not None or isinstance(self._node, Argument))

    @property
    def _origin(self) -> str:
        """Where a recorded Tensor is from, for errors."""
        return (
            f"the result of `{self._op_name}`" if self._op_name else "the argument of a function that is differentiated"
        )

    def __pos__(self) -> Tensor:
        return self

    # Values

    def numpy(self) -> NDArray[Any]:
        """The values, as a read-only view; ``t.numpy().copy()`` can be written to.

        With shared memory (:func:`from_numpy`), NumPy may write to it. Graphs do not notice: a graph that saved the values
        then computes its gradients with the new values.
        """
        if tracing.watchers:
            tracing.tracer().read(self)
        view = self._array.view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The values, for NumPy. RuntimeError for a Tensor that requires a gradient, unless under :class:`no_grad`."""
        self._ensure_nothing_lost()
        if copy or (dtype is not None and np.dtype(dtype) != self.dtype):
            if copy is False:
                raise ValueError(f"Tensor: {self.dtype} cannot become {np.dtype(dtype)} without a copy")
            return np.array(self.numpy(), dtype=dtype)
        return self.numpy()

    def _ensure_nothing_lost(self) -> None:
        if self.requires_grad and is_grad_enabled():
            raise RuntimeError(
                "Tensor: NumPy asks for the values of a Tensor that requires a gradient, and the gradient would be lost; "
                "say t.detach() or t.numpy() if that is meant, work under no_grad(), or use the function of tinygrad_cnn "
                "that records, such as stack for a list of Tensors"
            )

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        """The values for another library to share: ``torch.from_dlpack(t)``. Graphs do not notice writes by that library.

        Raises:
            BufferError: if this Tensor requires a gradient, or its memory cannot be shared as asked.
        """
        return above.dlpack(self, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def item(self) -> Any:
        """The only element, as a Python number. ValueError if there is more or less than one."""
        if self._array.size != 1:
            raise ValueError(f"item: the Tensor has shape {self.shape}; it must have exactly one element")
        if tracing.watchers:
            tracing.tracer().read(self)
        return self._array.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        if tracing.watchers:
            tracing.tracer().read(self)
        return self._array.tolist()

    def detach(self) -> Tensor:
        """The same values, sharing memory, outside the graph."""
        return Tensor._of(self._array)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """The values in another dtype. Recorded if both dtypes are floating-point; other conversions have no gradient."""
        wanted = dtype_of("astype", dtype)
        convert = elementwise.cast if wanted.kind in "fc" else elementwise.cast_discrete
        return convert(self, dtype=wanted)

    # Gradients

    def backward(
        self, gradient: TensorLike | None = None, retain_graph: bool | None = None, create_graph: bool = False
    ) -> None:
        """Add the gradient of sum(self * gradient) to the ``grad`` of every leaf that this Tensor was computed from.

        Args:
            gradient: the incoming gradient, of this Tensor's shape; optional if this Tensor has a single element.
            retain_graph: keep the values that nodes saved, so that backward can run again; defaults to `create_graph`.
            create_graph: record the computation of the gradients, so that they can be differentiated in turn.

        Raises:
            RuntimeError: if this Tensor does not require a gradient; if it has several elements and no `gradient` is given;
                if its graph was freed by an earlier backward; or if a value saved in the graph has been overwritten.
            ValueError: if `gradient` has another shape.
        """
        root = incoming("backward", self, gradient, create_graph)
        retain = create_graph if retain_graph is None else retain_graph
        if tracing.watchers:
            tracing.tracer().set_grad()
        add_to_grads(pull_back([root], None, retain=retain, create=create_graph), create_graph)

    def zero_grad(self) -> None:
        """Set ``grad`` to None."""
        self._grad = None

    def register_hook(self, hook: Callable[[Tensor], TensorLike | None]) -> Handle:
        """Call ``hook(g)`` in every backward walk, once the gradient g of this Tensor is complete.

        A value returned by the hook replaces the gradient, in ``grad`` and for all earlier nodes; None keeps the gradient.
        Hooks run in the order of registration. They must not write to g.

        Returns:
            A handle: ``handle.remove()`` removes the hook, as does leaving ``with handle:``.

        Raises:
            RuntimeError: if this Tensor does not require a gradient.
            TypeError: if `hook` cannot be called; in the walk, if it returns something other than an array.
            ValueError: in the walk, if it returns an array of another shape or dtype.

        >>> import tinygrad_cnn as tg
        >>> x = tg.Tensor([3.0, 4.0], requires_grad=True)
        >>> with x.register_hook(lambda g: g * 10):
        ...     x.sum().backward()
        >>> x.grad.tolist()
        [10.0, 10.0]
        """
        if self._node is None:
            raise RuntimeError(
                "register_hook: this Tensor does not require a gradient, so none arrives; set requires_grad=True on it or "
                "on what it is computed from"
            )
        return above.register_hook(self._node, hook)  # type: ignore[no-any-return]

    # Container protocol

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len: a 0-d Tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("iteration: a 0-d Tensor has no axis to iterate over; use item() for its value")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool(compare.equal(self, value).numpy().any())

    def __getitem__(self, key: Any) -> Tensor:
        return index.getitem(self, index=index.plain_index(key))

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise ValueError(f"bool: the truth value of a Tensor of shape {self.shape} is ambiguous; reduce it first")
        return bool(self.item())

    def __float__(self) -> float:
        if (name := differentiating.get()) and self.requires_grad and is_grad_enabled():
            raise RuntimeError(
                f"{name}: in the function that is differentiated, a Tensor becomes a Python float, and the derivative "
                "would be lost; use tg.sin or np.sin instead of math.sin, and x.item() if only the value is meant"
            )
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def _number(self, name: str) -> Any:
        """The only element. A warning for a Tensor that requires a gradient, unless under :class:`no_grad`."""
        value = self.item()
        if self.requires_grad and is_grad_enabled():
            warn_user(
                f"{name}: a Tensor that requires a gradient becomes a Python number, and the gradient is lost; use ops, such "
                "as tg.sin for math.sin and index_set for array[i] = t, and t.item() if only the value is meant"
            )
        return value

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self._array.ndim:  # NumPy takes [2] for a list of one index
            raise TypeError(
                f"index: only integer Tensors without axes can be an index, not {self.dtype} of shape {self.shape}"
            )
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self._array.size == 1 and spec else format(str(self), spec)

    def __repr__(self) -> str:
        if tracing.watchers:
            tracing.tracer().read(self)
        values = np.array2string(self._array, separator=", ", prefix="Tensor(")
        made_by = f", op={self._op_name}" if self._op_name else ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}, dtype={self.dtype}{made_by})"

    def __reduce__(self) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        """Pickle and copy the values; a leaf keeps its ``requires_grad``. RuntimeError for a Tensor in a graph."""
        if self._is_recorded:
            raise RuntimeError(
                f"Tensor: this one is {self._origin}, and copy, deepcopy and pickle do not copy its graph; copy t.detach() for "
                "its values, or use Tensor(t) for a copy that is recorded"
            )
        return _rebuild, (self.numpy(), self.requires_grad)

    # NumPy called on Tensors

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return above.array_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        if function in _FORM and len(args) == 1 and not kwargs and isinstance(args[0], Tensor):
            return function(args[0]._array)
        return above.array_function(function, args, kwargs)


def _rebuild(data: NDArray[Any], requires_grad: bool) -> Tensor:
    tensor = Tensor._of(native(np.array(data)))
    if requires_grad:
        tensor.requires_grad = True
    return tensor


def add_to_grads(gradients: Mapping[Any, Any], create: bool = False) -> None:
    """Add gradients to the ``grad`` of the Tensors whose leaves they belong to, if these are alive.

    Each ``grad`` is a new Tensor, so that a gradient that the user holds never changes.
    """
    for leaf, g in gradients.items():
        if (tensor := leaf.tensor()) is None:
            continue
        if tensor._grad is not None:
            g = _sum_of_gradients(tensor._grad, g, create)
        elif g.__class__ is ndarray:
            g = Tensor._of(g)
        tensor._grad = g


def _sum_of_gradients(old: Tensor, g: Any, create: bool) -> Tensor:
    if g.__class__ is ndarray or not in_tensors(create):
        return Tensor._of(np.asarray(old._array + (g if g.__class__ is ndarray else g._array)))
    with enable_grad() if create else no_grad():
        return old + g  # type: ignore[no-any-return]


@cache
def _one(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """The incoming gradient of most backward walks: a read-only 1. TypeError if the result is complex."""
    if dtype.kind == "c":
        raise TypeError(
            f"{name}: the result is {dtype}, and only a real number has an implied gradient of 1; take abs, real or imag of "
            "it, pass the gradient, or use holomorphic_grad for a holomorphic function"
        )
    one = np.ones(shape, dtype)
    one.flags.writeable = False
    return one


def incoming(name: str, output: Tensor, gradient: TensorLike | None, create: bool) -> tuple[Node | Leaf, Any]:
    """The node or leaf of `output` and its checked incoming gradient, as the backward walk takes them."""
    array, tensors = output._array, in_tensors(create)
    if replaced.left:
        replaced.check(output)
    if output._node is None:
        raise RuntimeError(
            f"{name}: the Tensor does not require a gradient: nothing it was computed from has requires_grad=True, or it "
            "was computed by an op without a gradient, under no_grad(), or by a compiled call, whose results have no graph: "
            "compile the whole step, with backward() in it"
        )
    if gradient is None:
        if array.size != 1:
            raise RuntimeError(
                f"{name}: the Tensor has shape {array.shape}; only a single element has an implied gradient of 1: reduce it "
                "with sum() or mean(), or pass the gradient"
            )
        g = _one(array.shape, array.dtype, name)
        return output._node, Tensor._of(g) if tensors else g
    gradient = gather(gradient, name)
    array = gradient._array if isinstance(gradient, Tensor) else np.asarray(gradient)
    if array.shape != output.shape:
        raise ValueError(
            f"{name}: the gradient has shape {array.shape} but the Tensor has shape {output.shape}; they must agree"
        )
    if array.dtype.kind not in ("biufc" if output.dtype.kind == "c" else "biuf"):
        raise TypeError(f"{name}: the gradient has dtype {array.dtype}; it must hold real numbers, as the result does")
    if not tensors:
        return output._node, array.astype(output.dtype, copy=False)
    start = gradient if isinstance(gradient, Tensor) else Tensor._of(array)
    return output._node, start if start.dtype == output.dtype else start.astype(output.dtype)


_FORM = frozenset({np.shape, np.ndim, np.size})  # layers ask for these in every call: they look at no value
lists.register(Tensor, shape.stack)
register_tensor(
    Tensor, adapt=lists.adapt, gather=lists.gather, plain=plain, broadcast_to=shape.broadcast_to, sum_to=shape.sum_to,
    copy=elementwise.copy, laid_out=elementwise.laid_out, real=complex_numbers.real, keep_freed_memory=keep_by_default,
)  # fmt: skip
