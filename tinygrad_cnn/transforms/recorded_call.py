"""A recorded call of a function, from which the transforms take derivatives."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

from ..core.backward import in_tensors, outside, pull_back
from ..core.grad_mode import differentiating, enable_grad, is_grad_enabled
from ..core.node import Argument
from ..core.versions import tick
from ..ops.elementwise import cast, copy
from ..ops.real import check_callable, kind
from ..ops.replaced import lent
from ..ops.shape import concatenate, moveaxis, stack
from ..tensor.tensor import Tensor, incoming
from .batched_call import batch
from .batching.units import known, units
from .forward import push_forward
from .pytree import leaves, matched, rebuild
from .reverse import pull_together
from .values import as_tensor

FEW, CHUNK = 2, 512
"""Up to FEW units are pulled one by one; at most CHUNK are taken at once."""

Argnums: TypeAlias = int | Sequence[int]
F = TypeVar("F", bound=Callable[..., Any])


class Run:
    """A recorded call of a function, with new nodes for the floating-point leaves of some of its arguments.

    The arguments at `argnums` must have such leaves. Without `argnums` all arguments are taken, and need not have any.
    """

    def __init__(
        self, name: str, f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], argnums: Argnums | None
    ) -> None:
        self.name = name
        self.single = isinstance(argnums, int)
        positions = list(range(len(args))) if argnums is None else _positions(name, argnums, len(args))
        self.recorded = is_grad_enabled()
        self.since = tick()
        self.selected = tuple(args[i] for i in positions)
        for i, argument in zip(positions, self.selected, strict=True):
            found = [leaf for _, leaf in leaves(argument)]
            if argnums is not None and found and not any(map(is_differentiable, found)):
                remedy = "pass floating-point numbers, or leave it out of `argnums`"
                raise TypeError(f"{name}: argument {i} is {kind(found[0])}, which has no derivative; {remedy}")
        with enable_grad():
            placed = [fresh(leaf) if is_differentiable(leaf) else leaf for _, leaf in leaves(self.selected)]
            call = list(args)
            for i, argument in zip(positions, rebuild(self.selected, placed), strict=True):
                call[i] = argument
            self.result = self._call(f, call, kwargs, placed)
        self.differentiable = [is_differentiable(leaf) for leaf in placed]
        self.inputs = [leaf for leaf, free in zip(placed, self.differentiable, strict=True) if free]

    def _call(self, f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], given: Sequence[Any]) -> Any:
        with differentiating(self.name), lent([t for t in given if isinstance(t, Tensor)]):
            return f(*args, **kwargs)

    @functools.cached_property
    def open(self) -> bool:
        """Whether the results stay in the graph, since they depend on Tensors recorded outside."""
        return self.recorded and self._reaches_out(leaf for _, leaf in leaves(self.result))

    def _reaches_out(self, results: Iterable[Any]) -> bool:
        return bool(outside([t._node for t in results if isinstance(t, Tensor) and t._node is not None], self.since))

    def detached(self, tree: Any) -> Any:
        """Results as Tensors, detached from the graph unless they depend on Tensors recorded outside."""
        return rebuild(tree, [self._detached(leaf) for _, leaf in leaves(tree)])

    def _detached(self, leaf: Any) -> Any:
        if not is_differentiable(leaf):
            return leaf
        tensor = as_tensor(leaf)
        stays = self.recorded and tensor._node is not None and self._reaches_out([tensor])
        return tensor if stays else tensor.detach()

    def scalar(self, result: Any) -> Tensor:
        """The result as a Tensor, which must have a single, floating-point element."""
        if not is_differentiable(result):
            remedy = "return (result, more) and pass has_aux=True" if isinstance(result, tuple) else "return a Tensor"
            raise TypeError(
                f"{self.name}: f returned {kind(result)}, but only floating-point numbers have gradients; {remedy}"
            )
        y = as_tensor(result)
        if y.size != 1:
            remedy = "reduce it with sum() or mean(), or use jacobian"
            raise ValueError(
                f"{self.name}: f returned shape {y.shape}, but only a single element has a gradient; {remedy}"
            )
        return y

    def pull(self, roots: Sequence[tuple[Tensor, Any]], *, create: bool, retain: bool) -> list[Tensor]:
        """Gradients of sum <y, u> with respect to the inputs, for roots (y, u)."""
        starts = [incoming(self.name, y, u, create) for y, u in roots if y._node is not None]
        places = [x._node for x in self.inputs]
        wanted = {place for place in places if place is not None}
        found = pull_back(starts, wanted, retain=retain, create=create) if starts and wanted else {}
        gradients = [None if place is None else found.get(place) for place in places]
        return [
            Tensor(np.zeros(x.shape, x.dtype)) if g is None else g if isinstance(g, Tensor) else Tensor._of(g)
            for x, g in zip(self.inputs, gradients, strict=True)
        ]

    def push(
        self, directions: Sequence[Tensor | None], outputs: Sequence[Tensor], n: int | None = None
    ) -> list[Tensor]:
        """The tangents of some Tensors that this run computed, for directions of the inputs: n of each, if `n` is given."""
        starts = {
            x._node: t for x, t in zip(self.inputs, directions, strict=True) if x._node is not None and t is not None
        }
        create = self.open or (self.recorded and any(t.requires_grad for t in starts.values()))
        given = starts if in_tensors(create) else {place: t._array for place, t in starts.items()}
        places = [y._node for y in outputs]
        ends = [place for place in places if place is not None]
        found = dict(zip(ends, push_forward(given, ends, create=create, n=n), strict=True)) if given and ends else {}
        memory = [t._array for t in starts.values()]
        return [
            _own(None if place is None else found.get(place), y, memory, n)
            for place, y in zip(places, outputs, strict=True)
        ]

    def like_arguments(self, found: Sequence[Tensor]) -> Any:
        """One result per input in the structure of the arguments, with None for leaves that have no derivative."""
        each = iter(found)
        tree = rebuild(self.selected, [next(each) if free else None for free in self.differentiable])
        return tree[0] if self.single else tree

    def jacobian(self, leaf: Any) -> Any:
        """The derivatives of one leaf of the result, in the structure of the arguments: a pull for each of its elements."""
        if not is_differentiable(leaf):
            return None
        y = as_tensor(leaf)
        if y.dtype.kind == "c":
            raise TypeError(
                f"{self.name}: f returned {kind(y)}, whose real and imaginary parts have derivatives of their own; "
                "return both, or use holomorphic_grad for a holomorphic function, and jacfwd for real arguments"
            )

        def pull(u: Tensor) -> list[Tensor]:
            return self.pull([(y, u)], create=self.open, retain=True)

        def together(rows: Tensor) -> list[Tensor]:
            return self._pull_together(y, rows) or batch(pull, (rows,), [0], len(rows))

        rows = _for_each_element(y, pull, together, few=FEW)
        if not rows:
            return self.like_arguments([Tensor(np.zeros(y.shape + x.shape, x.dtype)) for x in self.inputs])
        shapes = [y.shape + x.shape for x in self.inputs]
        return self.like_arguments(
            [row if row.shape == shape else row.reshape(shape) for row, shape in zip(rows, shapes, strict=True)]
        )

    def _pull_together(self, y: Tensor, rows: Tensor) -> list[Tensor] | None:
        """:meth:`pull` for n gradients of y at once, along their first axis; None if a rule lacks that form."""
        places = [x._node for x in self.inputs]
        wanted = [place for place in places if place is not None]
        if y._node is None or len({*wanted}) < len(places):
            return None
        found = pull_together(y._node, rows, wanted, create=self.open)
        if found is None:
            return None
        owners, results = [rows._array], []
        for x, t in zip(self.inputs, found, strict=True):
            results.append(_own(t, x, owners, len(rows)))
            owners.append(results[-1]._array)
        return results

    def columns(self, outputs: Sequence[Tensor]) -> list[list[Tensor]]:
        """For each output its derivatives by the inputs, of shape y's shape + x's shape: a push for each element of these."""
        found: list[list[Tensor]] = [[] for _ in outputs]
        if wrong := [x for x in self.inputs if x.dtype.kind == "c"]:
            raise TypeError(
                f"{self.name}: an argument is {kind(wrong[0])}, which moves in two directions; give its real and imaginary "
                "parts as two arguments, or use jvp and hvp"
            )
        for i, x in enumerate(self.inputs):

            def along(t: Tensor, n: int | None = None, i: int = i) -> list[Tensor]:
                return self.push([t if j == i else None for j in range(len(self.inputs))], outputs, n)

            def together(rows: Tensor, along: Callable[..., list[Tensor]] = along) -> list[Tensor]:
                return along(rows, len(rows))

            pushed = _for_each_element(x, along, together, few=1)
            pushed = pushed or [Tensor(np.zeros((0, *y.shape), y.dtype)) for y in outputs]
            for own, y, column in zip(found, outputs, pushed, strict=True):
                own.append(moveaxis(column, 0, -1).reshape(y.shape + x.shape))
        return found


def _for_each_element(
    like: Tensor, f: Callable[[Tensor], list[Tensor]], many: Callable[[Tensor], list[Tensor]], few: int
) -> list[Tensor]:
    """The results of f on each array of the shape of `like` that is 1 at one element, else 0, stacked; [] if it has none.

    `many` takes more than `few` such arrays along a new first axis, and gives the same if it can.
    """
    parts = []
    for start in range(0, like.size, CHUNK):
        n = min(CHUNK, like.size - start)
        rows = units(n, like, start)
        with known((rows._array, start)):
            parts.append(_batched(f, many, rows, few))
    return [column[0] if len(column) == 1 else concatenate(list(column)) for column in zip(*parts, strict=True)]


def _batched(
    f: Callable[[Tensor], list[Tensor]], many: Callable[[Tensor], list[Tensor]], rows: Tensor, few: int
) -> list[Tensor]:
    if len(rows) > few:
        try:
            return many(rows)
        except Exception:  # such as a rule that takes arrays only
            pass  # the loop below may raise it again
    return [stack(list(column)) for column in zip(*(f(unit) for unit in rows), strict=True)]


def directed(
    name: str, f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Run, list[Tensor | None]]:
    """A recorded call with `primals`, and a tangent for each of its inputs."""
    check_callable(name, f)
    for what, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, list | tuple):
            raise TypeError(f"{name}: `{what}` is {kind(value)}; it must be a tuple with an entry per argument of f")
    found = directions(name, primals, tangents)
    return Run(name, f, primals, {}, None), found


def directions(name: str, primals: Sequence[Any], tangents: Sequence[Any]) -> list[Tensor | None]:
    """A tangent for each floating-point leaf of `primals`, checked: None for zero."""
    found = []
    for path, x, t in matched(name, "`tangents`", list(tangents), list(primals)):
        if is_differentiable(x):
            dtype = as_tensor(x).dtype
            found.append(None if t is None else shaped(name, f"`tangents{path}`", t, np.shape(x), dtype))
    return found


def _own(t: Any, y: Tensor, memory: Sequence[np.ndarray], n: int | None) -> Tensor:
    """The tangent of y, or n of them, as a Tensor in memory of its own: zeros for None."""
    if t is None:
        return Tensor(np.zeros(y.shape if n is None else (n, *y.shape), y.dtype))
    if isinstance(t, Tensor):
        shared = any(np.may_share_memory(t._array, a) for a in memory)
        return copy(t, order="C") if shared or 0 in t._array.strides else t
    shared = any(np.may_share_memory(t, a) for a in memory)
    return Tensor._of(np.array(t, order="C") if shared or not t.flags.writeable else np.asarray(t))


def is_differentiable(leaf: Any) -> bool:
    """Whether a leaf can have a derivative: a Tensor, array or Python number of floating-point dtype."""
    if isinstance(leaf, Tensor | np.ndarray):
        return leaf.dtype.kind in "fc"
    return isinstance(leaf, float | complex | np.floating | np.complexfloating)


def fresh(leaf: Any) -> Tensor:
    """A leaf with a new node: one above its node if it has one, else a new leaf of the graph."""
    if isinstance(leaf, Tensor) and leaf._node is not None:
        return cast(leaf, dtype=leaf.dtype)
    fresh = Tensor._of(leaf._array) if isinstance(leaf, Tensor) else as_tensor(leaf)
    fresh._node = Argument(fresh)
    return fresh


def shaped(name: str, what: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    """`value` as a Tensor of this dtype, or a ValueError for another shape; `name` and `what` are for messages."""
    tensor = as_tensor(value)
    if tensor.shape != shape:
        raise ValueError(f"{name}: {what} has shape {tensor.shape} but belongs to shape {shape}; they must agree")
    if tensor.dtype.kind not in ("biufc" if dtype.kind == "c" else "biuf"):
        raise TypeError(f"{name}: {what} has dtype {tensor.dtype}; it must hold real numbers")
    return tensor if tensor.dtype == dtype else tensor.astype(dtype)


def _positions(name: str, argnums: Argnums, count: int) -> list[int]:
    given = list(argnums) if isinstance(argnums, Sequence) else [argnums]
    if any(isinstance(i, bool) or not isinstance(i, int) for i in given):
        raise TypeError(f"{name}: `argnums` is {argnums!r}; it must be an integer or a sequence of integers")
    wrong = [i for i in given if not -count <= i < count]
    if wrong:
        raise ValueError(
            f"{name}: `argnums` has {wrong[0]}, but f was called with {count} by position; pass it by position"
        )
    positions = [i % count for i in given]
    if len(set(positions)) < len(positions):
        raise ValueError(f"{name}: `argnums` is {argnums!r}, which names an argument twice; give each position once")
    return positions


def named_after(f: Callable[..., Any], function: F) -> F:
    """`function` with the name and documentation of f, but not the attributes, which an op has for itself."""
    functools.update_wrapper(function, f, updated=())
    return function
