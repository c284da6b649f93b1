"""L-BFGS."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np

from ..checks import Options, accepted, checked, copied, one_of, shown, whole
from ..core.grad_mode import enable_grad
from ..core.versions import mark_written
from ..ops.matmul import matmul
from ..tensor import Tensor
from .hyperparameters import Array, NonNegative
from .hyperparameters import Count as AtLeastOne
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, Params
from .state import Count, Ignored, Number, Slot, pairs, plain


def _search(value: Any) -> str | None:
    return None if value is None else one_of("strong_wolfe")(value)


Search: TypeAlias = Annotated[str | None, _search]


@dataclass(frozen=True)
class Flat(Slot):
    """One vector with a number for each element of all parameters.

    Attributes:
        size: how many elements they have.
        dtype: their dtype.
    """

    size: int = 0
    dtype: Any = None

    def is_needed(self, options: Options) -> bool:
        """None before the first step."""
        return False

    def read(self, value: Any, p: Tensor) -> Any:
        array = copied(value)
        if array.shape != (self.size,) or array.dtype != self.dtype:
            raise ValueError(f"{array.dtype} {array.shape}; all parameters together are {self.dtype} ({self.size},)")
        return array


class Later(Number):
    """A number that exists from the first step on."""

    def is_needed(self, options: Options) -> bool:
        return False


@dataclass(frozen=True)
class Several(Slot):
    """A list of values of another slot."""

    of: Slot | None = None

    def is_needed(self, options: Options) -> bool:
        return False

    def read(self, value: Any, p: Tensor) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{shown(value)}; it must be a list")
        return [self.of.read(v, p) if self.of else v for v in value]


class LBFGS(Optimizer):
    """Limited-memory BFGS: quasi-Newton steps from the last differences of positions and gradients.

    q = -g, then for each pair (s, y) from the last:  a = s.q / y.s,  q = q - a y
    d = h q,  h = y.s / y.y of the last pair,  then for each pair from the first:  d = d + (a - y.d / y.s) s
    p = p + t d,  t = lr or by the line search

    A step calls the closure up to max_eval times and takes up to max_iter such iterations. It needs a function that gives
    the same loss for the same parameters: the whole data, or one batch for several iterations, and no dropout.

    The closure may be compiled with :func:`tinygrad_cnn.compile`, but not the step: the losses decide how often it calls the
    closure. All parameters must be in one group, and have one dtype. If the closure raises, parameters and state are as
    before the step.

    References: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical Programming
    45 (1989); the line search: Nocedal and Wright, "Numerical optimization" (2006).

    Args:
        params: see :class:`Optimizer`.
        lr: the step t, or the first one that the line search tries.
        max_iter: the most iterations in a step.
        max_eval: the most calls of the closure in a step, after which no iteration begins; None for 5/4 max_iter.
        tolerance_grad: the step ends where no element of the gradient is larger.
        tolerance_change: the step ends where the loss, or every parameter, changes by less.
        history_size: how many pairs are kept.
        line_search_fn: "strong_wolfe", or None to take t = lr.

    Raises:
        ValueError: if there are several groups or dtypes; otherwise as :class:`Optimizer`.

    >>> import tinygrad_cnn as tg
    >>> x, y = (tg.Tensor(v, requires_grad=True) for v in (-0.5, 1.0))
    >>> optimizer = tg.optim.LBFGS([x, y], max_iter=50, line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - x) ** 2 + 100 * (y - x * x) ** 2
    ...     loss.backward()
    ...     return loss
    >>> before = optimizer.step(closure)
    >>> round(before.item(), 4), round(x.item(), 3), round(y.item(), 3)
    (58.5, 1.0, 1.0)
    """

    slots: ClassVar = {"func_evals": Count(), "n_iter": Count()}

    def __init__(
        self, params: Params, lr: NonNegative = 1.0, max_iter: AtLeastOne = 20,
        max_eval: Annotated[int | None, whole(1)] = None, tolerance_grad: NonNegative = 1e-7,
        tolerance_change: NonNegative = 1e-9, history_size: AtLeastOne = 100, line_search_fn: Search = None,
    ) -> None:  # fmt: skip
        if max_eval is None:
            max_eval = checked("LBFGS", {"max_iter": whole(1)}, {"max_iter": max_iter})["max_iter"] * 5 // 4
        super().__init__(params, locals())

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise ValueError(
                f"{self._name}: there is a second group of parameters; it optimizes one group, put all in it"
            )
        super().add_param_group(param_group)
        group = self.param_groups[0]
        dtypes = sorted({str(p._array.real.dtype) for p in group["params"]})
        if len(dtypes) > 1:
            raise ValueError(f"{self._name}: the parameters are {' and '.join(dtypes)}; they must have one dtype")

    def slots_of(self, p: Tensor) -> Mapping[str, Slot]:
        params = self._params()
        if p is not params[0]:  # as in PyTorch, the state of all is that of the first
            return {}
        flat = Flat(size=sum(_real(q._array).size for q in params), dtype=p._array.real.dtype)
        vectors, number = Several(of=flat), Later()
        later: dict[str, Slot] = {
            "d": flat,
            "t": number,
            "old_dirs": vectors,
            "old_stps": vectors,
            "ro": Several(of=number),
        }
        later |= {"H_diag": number, "prev_flat_grad": flat, "prev_loss": number}
        return {**self.slots, **later, "al": Ignored()}

    def state_conflict(self, p: Tensor, state: dict[str, Any]) -> str | None:
        later = [name for name, slot in self.slots_of(p).items() if not isinstance(slot, Count | Ignored)]
        missing = [name for name in later if name not in state]
        if missing and (state.get("n_iter") or len(missing) < len(later)):
            return f"lacks {', '.join(map(repr, missing))}; from the first iteration on there are {', '.join(later)}"
        lengths = {name: len(state[name]) for name in ("old_dirs", "old_stps", "ro") if name in state}
        if len(set(lengths.values())) > 1:
            return f"has lists of different lengths: {lengths}"
        return None

    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        raise NotImplementedError("LBFGS updates all parameters at once, in `step`")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take up to max_iter iterations.

        Args:
            closure: a function without arguments that resets the gradients, computes the loss, calls its ``backward()`` and
                returns it.

        Returns:
            What the first call of `closure` returned: the loss before the step.

        Raises:
            TypeError: if `closure` is missing, or does not return one number.
            ValueError: if an option has an invalid value, or a parameter has become read-only.
        """
        if closure is None:
            raise TypeError(
                f"{self._name}.step: `closure` is missing; L-BFGS evaluates the loss several times a step, so call "
                "step(closure) with a function that computes the gradients and returns the loss"
            )
        params = self._params()
        group = accepted(self._name, *self.examined(self.param_groups[0], " of group 0"))
        self._check_writable([(0, i, p) for i, p in enumerate(params)])
        before = [_real(p._array).copy() for p in params]
        state = dict(self.state.get(params[0], {"func_evals": 0, "n_iter": 0}))
        try:
            first = self._iterate(closure, params, group, state)
        except BaseException:
            _write(params, before)
            raise
        self.state[params[0]] = state
        return first

    def _iterate(self, closure: Callable[[], Any], params: list[Tensor], group: Options, state: dict[str, Any]) -> Any:
        lr, most, change = group["lr"], group["max_eval"], group["tolerance_change"]

        def evaluate() -> tuple[Any, float, Array]:
            with enable_grad():
                result = closure()
            state["func_evals"] += 1
            return result, self._number(result), _gradient(params)

        def flat_enough(gradient: Array) -> bool:
            return bool(np.abs(gradient).max(initial=0) <= group["tolerance_grad"])

        first, loss, g = evaluate()
        count = 1
        if flat_enough(g):
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
                d, t = -g, min(1.0, 1.0 / float(np.abs(g).sum())) * lr
            else:
                _remember(state, g, group["history_size"])
                d, t = _direction(state, g), lr
            state.update(d=d, t=t, prev_flat_grad=g, prev_loss=loss)
            slope = _dot(g, d)
            if slope > -change:
                break
            start = [_real(p._array).copy() for p in params]
            previous, done = loss, 0
            if group["line_search_fn"] is not None:

                def along(t: float, start: list[Array] = start, d: Array = d) -> Point:
                    _write(params, start, t, d)
                    _, value, gradient = evaluate()
                    return Point(t, value, gradient, _dot(gradient, d))

                point, done = strong_wolfe(along, Point(0.0, loss, g, slope), t, d, change, most - count)
                t, loss, g = point.t, point.value, point.gradient
                state["t"] = t
                _write(params, start, t, d)
            else:
                _write(params, start, t, d)
                if iteration < group["max_iter"]:
                    _, loss, g = evaluate()
                    done = 1
            count += done
            if iteration == group["max_iter"] or count >= most or flat_enough(g):
                break
            if float(np.abs(d * t).max()) <= change or abs(loss - previous) < change:
                break
        return first

    def _number(self, result: Any) -> float:
        try:
            if not isinstance(result, str | bytes):
                return float(plain(result))
        except (TypeError, ValueError):
            pass
        raise TypeError(f"{self._name}.step: `closure` returned {shown(result)}; it must return the loss")


def _real(a: Array) -> Array:
    """The real numbers that a complex array consists of; a real one as it is."""
    return pairs(a) if a.dtype.kind == "c" else a


def _gradient(params: list[Tensor]) -> Array:
    """The gradients of all parameters in one vector, of complex ones by the real numbers; zeros for one without."""
    gradients = [np.zeros(p.shape, p.dtype) if p.grad is None else p.grad._array for p in params]
    return np.concatenate([_real(g.conj() if g.dtype.kind == "c" else g).reshape(-1) for g in gradients])


def _write(params: list[Tensor], start: list[Array], t: float = 0.0, d: Array | None = None) -> None:
    """Write start + t d into the parameters."""
    offset = 0
    for p, x in zip(params, start, strict=True):
        np.copyto(_real(p._array), x if d is None else x + t * d[offset : offset + x.size].reshape(x.shape))
        offset += x.size
    mark_written(*(p._array for p in params))


def _remember(state: dict[str, Any], g: Array, most: int) -> None:
    """Keep the differences of gradient and position of the last iteration, if the function is convex along it."""
    y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
    product = _dot(y, s)
    if product > 1e-10:
        kept = {"old_dirs": y, "old_stps": s, "ro": 1.0 / product}
        state.update({name: [*state[name], value][-most:] for name, value in kept.items()})
        state["H_diag"] = product / _dot(y, y)


def _direction(state: dict[str, Any], g: Array) -> Array:
    """-H g for the inverse Hessian H that the kept differences describe."""
    pairs = [*zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True)]
    d, shares = -g, []
    for y, s, r in reversed(pairs):
        shares.append(_dot(s, d) * r)
        d -= shares[-1] * y
    d *= state["H_diag"]
    for (y, s, r), share in zip(pairs, reversed(shares), strict=True):
        d += (share - _dot(y, d) * r) * s
    return d


def _dot(a: Array, b: Array) -> float:
    """Their product, by the op's kernel: with the same bits for any number of threads."""
    product: Any = matmul(a, b)
    return float(product)
