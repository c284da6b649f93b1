"""The function that is differentiated at each order: f, its gradient, the gradient of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..core.backward import pull_back
from ..core.grad_mode import enable_grad, is_grad_enabled, no_grad
from ..core.node import Leaf
from ..numpy_api.creation import from_numpy
from ..tensor import Tensor
from ..transforms.forward import push_forward

Arrays: TypeAlias = Sequence[NDArray[Any]]
Flat: TypeAlias = NDArray[np.float64]


class Level:
    """A function at a point: f at order 1; above that, the gradients of sum <level below, u>, in its inputs and in u.

    Args:
        f: the function of Tensors, to a Tensor or a sequence of them.
        arrays: its inputs.
        names: what messages call them.
    """

    def __init__(self, f: Callable[..., Any], arrays: Arrays, names: Sequence[str]) -> None:
        self.f, self.arrays, self.names = f, list(arrays), list(names)
        self.floating = [p for p, a in enumerate(self.arrays) if a.dtype.kind == "f"]
        ends = np.cumsum([0, *(self.arrays[p].size for p in self.floating)])
        self.slices = {p: slice(b, e) for p, b, e in zip(self.floating, ends, ends[1:], strict=False)}
        self.size = int(ends[-1])

    def outputs(self, arrays: Arrays) -> list[NDArray[Any]]:
        """The values at other arrays, without a graph."""
        with no_grad():
            return [y._array for y in floating_outputs(self.f(*map(from_numpy, arrays)))]

    def record(self, arrays: Arrays, wanted: Sequence[int] | None = None) -> Record:
        """Run it at `arrays` and keep the graph, for the gradients of the inputs at some positions, by default of all."""
        xs = [from_numpy(a) for a in arrays]
        places = self.floating if wanted is None else wanted
        for p in places:
            xs[p] = _leaf(xs[p])
        with enable_grad():
            return Record(floating_outputs(self.f(*xs)), [xs[p] for p in places])

    def widened(self) -> Level:
        """The same in float64."""
        arrays = [a.astype(np.float64, copy=False) if a.dtype.kind == "f" else a for a in self.arrays]
        return Level(self.f, arrays, self.names)

    def above(self, us: Arrays, order: int) -> Level:
        """The next level, where this one is that of `order`."""
        count = len(self.arrays)

        def gradients(*tensors: Tensor) -> list[Tensor]:
            create, xs = is_grad_enabled(), _leaves(tensors[:count])
            with enable_grad():
                ys = floating_outputs(self.f(*xs))
            wanted = [x for x in xs if x.requires_grad]
            found = _pull(ys, wanted, tensors[count:], create, retain=create)
            zeros = (from_numpy(np.zeros(x.shape, x.dtype)) for x in wanted)
            return [zero if g is None else g for zero, g in zip(zeros, found, strict=True)]

        names = [*self.names, *(f"incoming gradient {i} of order {order}" for i in range(len(us)))]
        return Level(gradients, [*self.arrays, *us], names)

    def flat(self, arrays: Iterable[NDArray[Any] | None]) -> Flat:
        """The floating-point arrays as one vector of float64, absent ones as zeros."""
        parts = [
            np.zeros(self.arrays[p].size) if a is None else a.ravel()
            for p, a in zip(self.floating, arrays, strict=True)
        ]
        return np.concatenate([np.zeros(0), *parts]).astype(np.float64)

    def moved(self, shift: NDArray[Any]) -> list[NDArray[Any]]:
        """The arrays with a vector added to the floating-point ones; complex if the vector is."""
        moved = list(self.arrays)
        for p, part in self.slices.items():
            moved[p] = np.asarray(moved[p] + shift[part].reshape(moved[p].shape))
        return moved

    def place(self, flat: int) -> tuple[int, tuple[int, ...]]:
        """Which array, and which index in it, an entry of the vector is."""
        position = next(p for p, part in self.slices.items() if part.start <= flat < part.stop)
        index = np.unravel_index(flat - self.slices[position].start, self.arrays[position].shape)
        return position, tuple(int(i) for i in index)


class Record:
    """A call with its graph, through which several incoming gradients can be pulled back."""

    def __init__(self, ys: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
        self._ys, self._wanted = ys, wanted
        self.values = [y._array for y in ys]
        self._last: tuple[Arrays, list[NDArray[Any] | None]] = [], []

    def pull(self, us: Arrays, create: bool = False) -> list[NDArray[Any] | None]:
        """The gradient of sum <y, u> for every floating-point array, None where nothing depends on it.

        On arrays, the last one is kept for the same `us`, which several checks ask for.
        """
        kept, gradients = self._last
        if create or len(kept) != len(us) or any(a is not b for a, b in zip(kept, us, strict=True)):
            found = _pull(self._ys, self._wanted, [from_numpy(u) for u in us], create, retain=True)
            gradients = [None if g is None else g._array for g in found]
            if not create:
                self._last = us, gradients
        return gradients

    def push(self, ds: Arrays) -> list[NDArray[Any] | None]:
        """The tangents of the outputs for a direction of every floating-point array, None where nothing moves."""
        starts = {x._node: d for x, d in zip(self._wanted, ds, strict=True) if x._node is not None}
        places = [y._node for y in self._ys]
        ends = [place for place in places if place is not None]
        found = dict(zip(ends, push_forward(starts, ends, create=False), strict=True)) if starts and ends else {}
        return [None if place is None else found.get(place) for place in places]


def floating_outputs(result: Any) -> list[Tensor]:
    """The floating-point (or complex) Tensors that f returned, alone or in a sequence.

    Raises:
        ValueError: if f returned something else than Tensors, or no floating-point one.
    """
    results = list(result) if isinstance(result, list | tuple) else [result]
    wrong = [type(r).__name__ for r in results if not isinstance(r, Tensor)]
    if wrong:
        remedy = "compute with tinygrad_cnn's functions, and without .numpy()"
        raise ValueError(f"gradcheck: `f` returned a {wrong[0]}; it must return Tensors: {remedy}")
    kept = [r for r in results if r.dtype.kind in "fc"]
    if not kept:
        found = [str(r.dtype) for r in results]
        raise ValueError(f"gradcheck: `f` returned {found}; at least one result must be floating-point")
    return kept


def _leaves(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The Tensors, with floating-point ones outside of a graph replaced by leaves that require gradients."""
    return [t if t._node is not None or t.dtype.kind not in "fc" else _leaf(t) for t in tensors]


def _leaf(tensor: Tensor) -> Tensor:
    leaf = tensor.detach()
    leaf._node = Leaf(leaf)  # set here and not by requires_grad, which refuses complex numbers
    return leaf


def _pull(
    ys: Sequence[Tensor], wanted: Sequence[Tensor], us: Sequence[Tensor], create: bool, retain: bool
) -> Sequence[Tensor | None]:
    """The backward pass itself, which unlike ``gradients`` takes complex numbers."""
    starts = [u if u.dtype == y.dtype else u.astype(y.dtype) for y, u in zip(ys, us, strict=True)]
    roots = [(y._node, u if create else u._array) for y, u in zip(ys, starts, strict=True) if y._node is not None]
    places = [x._node for x in wanted if x._node is not None]
    found = pull_back(roots, set(places), retain=retain, create=create) if places else {}
    return [None if g is None else g if isinstance(g, Tensor) else from_numpy(g) for g in map(found.get, places)]
