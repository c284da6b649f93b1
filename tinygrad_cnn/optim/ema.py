"""Weights averaged over the steps of training, which often predict better than the last ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import Loadable, checked, flag, read, whole
from ..core.tracing import deferred
from ..core.versions import mark_written
from ..ops import updates
from ..tensor import Tensor
from .hyperparameters import Array, several, share
from .state import Slot

if TYPE_CHECKING:
    from ..nn import Module

_OPTIONS = {"decay": share, "warmup": flag}


class EMA(Loadable):
    """An exponential moving average of weights: average = decay average + (1 - decay) weights at each update.

    The average starts from the current weights. With warmup the n-th update has the decay min(decay, n / (n + 9)), so that
    the first weights soon count little. To use the averages, exchange them with the weights: by :meth:`swap`, or for a
    ``with`` block.

    Of a model, the buffers belong to the average too: the running statistics of batch normalization would not fit averaged
    weights. Or measure them with the averaged weights, by :func:`update_bn`: in a ``with`` block, it writes the averages'.

    Reference: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992), with equal weights.

    Args:
        parameters: a model; or the leaf Tensors to average, of floating-point or complex dtype.
        decay: the share of the average that stays from update to update, from 0 to 1.
        warmup: whether to begin with a smaller decay.
        use_buffers: of a model, whether its buffers are averaged as its parameters are; otherwise the last ones are kept, as
            those of integers always are.

    Attributes:
        updates: how many updates were made.

    Raises:
        TypeError, ValueError: if an argument has the wrong type or is out of range.
        RuntimeError: from ``update``, ``load_state_dict`` and ``with``, while the averages are in use as weights.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor([4.0, 8.0], requires_grad=True)
    >>> average = tg.optim.EMA([x], decay=0.75)
    >>> _ = x.copy_([0.0, 0.0])  # as an optimizer's step would
    >>> average.update()
    >>> with average:
    ...     x.tolist()
    [3.0, 6.0]
    >>> x.tolist()
    [0.0, 0.0]
    """

    decay: float
    warmup: bool

    def __init__(
        self, parameters: Module | Iterable[Tensor], decay: float = 0.999, *, warmup: bool = False,
        use_buffers: bool = True,
    ) -> None:  # fmt: skip
        vars(self).update(checked("EMA", _OPTIONS, locals()))
        checked("EMA", {"use_buffers": flag}, locals())
        if isinstance(parameters, Tensor):
            raise TypeError("EMA: `parameters` is one Tensor; put it in a list")
        model: Any = parameters if hasattr(parameters, "named_buffers") else None
        buffers = [] if model is None else [*model.buffers()]
        means = [b for b in buffers if use_buffers and b.dtype.kind in "fc"]
        averaged = several("EMA", "parameters", parameters if model is None else (*model.parameters(), *means))
        if not averaged:
            raise ValueError("EMA: `parameters` is empty; give at least one Tensor")
        for i, p in enumerate(averaged):
            if not isinstance(p, Tensor):
                raise TypeError(f"EMA: parameter {i} is a {type(p).__name__}; it must be a Tensor")
            if p.dtype.kind not in "fc":
                raise TypeError(
                    f"EMA: parameter {i} is {p.dtype}; only floating-point and complex Tensors have an average"
                )
            if not p.is_leaf:
                raise ValueError(f"EMA: parameter {i} is not a leaf but the result of an op; average what it came from")
            if any(p is other for other in averaged[:i]):
                raise ValueError(f"EMA: parameter {i} was given before; list it once")
        self.updates = 0
        self._count = len(averaged)  # what follows is not averaged but copied
        self._parameters: list[Tensor] = [*averaged, *(b for b in buffers if all(b is not mean for mean in means))]
        self._kept: list[Array] = [np.array(p._array) for p in self._parameters]
        self._swapped = False

    @deferred
    def update(self) -> None:
        """Update the average with the current weights. Call it after each step of the optimizer."""
        self._check_not_swapped("update")
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9)) if self.warmup else self.decay
        for i, (p, average) in enumerate(zip(self._parameters, self._kept, strict=True)):
            if i < self._count:
                updates.apply(partial(_approach, 1 - decay), average, p._array)
            else:
                np.copyto(average, p._array)

    @deferred
    def swap(self) -> None:
        """Exchange weights and averages, in place; a second call exchanges them back.

        Raises:
            ValueError: if a parameter is read-only; nothing is exchanged then.
        """
        for i, p in enumerate(self._parameters):
            if not p._array.flags.writeable:
                raise ValueError(f"EMA: parameter {i} is read-only and cannot be exchanged; copy it with Tensor(...)")
        pairs = list(zip(self._parameters, self._kept, strict=True))
        # Back in reverse order, which matters where parameters share memory.
        for p, kept in reversed(pairs) if self._swapped else pairs:
            weights = p._array.copy()
            p._array[...] = kept
            kept[...] = weights
            mark_written(p._array)
        self._swapped = not self._swapped

    def __enter__(self) -> EMA:
        self._check_not_swapped("with")
        self.swap()
        return self

    def __exit__(self, *_: object) -> None:
        if self._swapped:
            self.swap()

    def _check_not_swapped(self, what: str) -> None:
        if self._swapped:
            raise RuntimeError(f"EMA: {what} while the averages are in use as weights; swap() back first")

    def state_dict(self) -> dict[str, Any]:
        """A copy of the options, the number of updates and the averages, also while they are swapped in."""
        averages = [p._array for p in self._parameters] if self._swapped else self._kept
        options = {name: getattr(self, name) for name in _OPTIONS}
        return {**options, "updates": self.updates, "averages": [np.array(a) for a in averages]}

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        self._check_not_swapped("load_state_dict")
        values = read("EMA", state_dict, {**_OPTIONS, "updates": whole(0), "averages": self._averages})
        values["_kept"] = values.pop("averages")
        return partial(vars(self).update, values)

    def _averages(self, saved: Any) -> list[Array]:
        if not isinstance(saved, list | tuple) or len(saved) != len(self._parameters):
            raise ValueError(f"it must be a list of {len(self._parameters)} arrays")
        kept, faults = [], []
        for i, (p, value) in enumerate(zip(self._parameters, saved, strict=True)):
            try:
                kept.append(Slot().read(value, p))
            except ValueError as error:
                faults.append(f"average {i} is {error}")
        if faults:
            raise ValueError("; ".join(faults))
        return kept

    def __repr__(self) -> str:
        return f"EMA({len(self._parameters)} tensors: decay={self.decay}, warmup={self.warmup}, updates={self.updates})"


def _approach(share: float, a: Array, b: Array, t: Array, _: Array) -> None:
    """a = a + share (b - a)."""
    np.subtract(b, a, out=t)
    t *= share
    a += t
