"""Updates: of large parameters in cache-sized pieces, on several threads, because a rule makes a dozen passes over each piece;
and of small ones as NumPy's calls alone, for options that stay the same from step to step."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from operator import call, is_
from types import SimpleNamespace
from typing import Any
from weakref import ref

import numpy as np
from numpy import multiply, subtract
from numpy.lib.array_utils import byte_bounds

from ..core.scope import silent
from ..ops import in_place
from .parallel.threads import each
from .parallel.workspace import scratch

LONG = 400_000
"""The most elements that a rule gets at once: three or four arrays of them stay in the L3 cache, from which NumPy reads nearly
as fast as from the L2 cache. In much smaller pieces NumPy's calls would be so short that threads mostly wait for the
interpreter lock, and preparing them would take longer."""


def in_pieces(rule: Callable[..., object], p: np.ndarray, g: np.ndarray, *kept: np.ndarray) -> None:
    """Call ``rule(p, g, *kept, t, u)`` on pieces of these arrays. It writes all but `g`, and may use t and u as scratch."""
    arrays = [p, g, *kept]

    def work(piece: Sequence[np.ndarray]) -> None:
        with silent:  # the error state is per thread
            rule(*piece, *(scratch(name, piece[0].shape, p.dtype) for name in ("step", "step 2")))

    if all(a.flags.c_contiguous for a in arrays) and not np.may_share_memory(p, g):
        flat = [a.reshape(-1) for a in arrays]
        count = max(1, -(-p.size // LONG))
        count += count % 2 if count > 1 else 0  # for two threads
        size = -(-p.size // count)  # pieces of nearly equal size
        each(work, [[a[i * size : (i + 1) * size] for a in flat] for i in range(count)])
        return
    access: Any = [["readwrite"], ["readonly"], *(["readwrite"] for _ in kept)]
    flags: Any = ["external_loop", "buffered", "copy_if_overlap", "zerosize_ok"]
    with np.nditer(arrays, flags=flags, op_flags=access, buffersize=in_place.PIECE) as pieces:
        for piece in pieces:
            work(piece)


def scalar(value: float, dtype: np.dtype[Any]) -> np.ndarray:
    """A number as an array without axes, which a ufunc does not convert in every call."""
    return np.array(value, dtype)


def repeated(prepare: in_place.Repeat, p: np.ndarray, g: np.ndarray, *rest: Any) -> None:
    """A step that is prepared for the slots as they are now."""
    step = prepare(p, *rest)
    assert step is not None  # the options are as before
    step(g)


def repeat_sgd(
    p: np.ndarray, state: dict[str, Any], group: dict[str, Any], t: np.ndarray, u: np.ndarray
) -> Callable[[np.ndarray], object] | None:
    """:meth:`SGD.update <tinygrad_cnn.optim.SGD.update>` without weight decay, and with plain momentum or none."""
    if group["weight_decay"] or group["maximize"] or group["nesterov"] or group["dampening"]:
        return None
    lr = scalar(group["lr"], t.dtype)
    if not group["momentum"]:
        return partial(_descend, p, lr, t)
    b = state["momentum_buffer"]
    momentum = scalar(group["momentum"], b.dtype)

    def step(g: np.ndarray) -> None:
        if state["momentum_buffer"] is not b:  # it has been replaced
            return repeated(repeat_sgd, p, g, state, group, t, u)
        np.multiply(b, momentum, b)
        np.add(b, g, b)
        np.subtract(p, np.multiply(b, lr, t), p)

    return step


def _descend(p: np.ndarray, lr: np.ndarray, t: np.ndarray, g: np.ndarray) -> None:
    subtract(p, multiply(g, lr, t), p)


def together(steps: Sequence[Callable[[np.ndarray], object]]) -> Callable[..., object]:
    """A function of the gradients of several parameters that takes the step of each.

    A compiled function may give the same gradients in every call, in one piece of memory. For plain gradient descent on few
    numbers, one call then multiplies them all by the learning rate.
    """
    in_turn = in_place.in_turn(steps)
    found = [step.args for step in steps if isinstance(step, partial) and step.func is _descend]
    if len(found) < max(2, len(steps)) or len({(p.dtype, float(lr)) for p, lr, _ in found}) > 1:
        return in_turn
    ps, (lr, *_), _ = zip(*found, strict=True)
    # The last gradients, and the calls for them if they came twice. If they were held, a compiled function would give others.
    last: tuple[Sequence[ref[np.ndarray]], Sequence[Callable[[], object]] | None] = (), None

    def step(*gradients: np.ndarray) -> None:
        nonlocal last
        known, calls = last
        if known and all(map(is_, map(call, known), gradients)):
            if calls is None:
                calls = _by_one_product(ps, lr, gradients)
                last = known, calls
            if calls:
                deque(map(call, calls), 0)  # which calls each
                return
        else:
            last = [*map(ref, gradients)] if gradients[0].base is not None else (), None
        in_turn(*gradients)

    return step


def _by_one_product(
    ps: Sequence[np.ndarray], lr: np.ndarray, gradients: Sequence[np.ndarray]
) -> list[Callable[[], object]]:
    """The calls of a step of gradient descent, for as long as these gradients are alive.

    There are none if the gradients are not views of one array without gaps, if they and what lies between them are too many
    numbers, or if a parameter lies among them.
    """
    base, dtype, size = gradients[0].base, lr.dtype, lr.itemsize
    if not isinstance(base, np.ndarray) or not base.flags.forc:
        return []
    if any(g.base is not base or g.dtype != dtype for g in gradients):
        return []
    bounds = [byte_bounds(g) for g in gradients]
    start, stop = min(low for low, _ in bounds), max(high for _, high in bounds)
    places = [g.ctypes.data - start for g in gradients]
    steps = [*places, *(step for g in gradients for step in g.strides)]
    if stop - start > in_place.PIECE * size or any(step % size for step in steps):
        return []
    memory = {"data": (start, True), "shape": ((stop - start) // size,), "typestr": dtype.str, "version": 3}
    flat = np.asarray(SimpleNamespace(__array_interface__=memory))
    if any(np.may_share_memory(p, flat) for p in ps):
        return []
    scaled = np.empty(flat.shape, dtype)
    parts = [np.ndarray(g.shape, dtype, scaled, at, g.strides) for g, at in zip(gradients, places, strict=True)]
    return [
        partial(multiply, flat, lr, scaled),
        *(partial(subtract, p, part, p) for p, part in zip(ps, parts, strict=True)),
    ]


def repeat_adam(
    p: np.ndarray, state: dict[str, Any], group: dict[str, Any], t: np.ndarray, u: np.ndarray
) -> Callable[[np.ndarray], object] | None:
    """:meth:`Adam.update <tinygrad_cnn.optim.Adam.update>` with no weight decay but a decoupled one."""
    decays = group["weight_decay"] and group["decoupled_weight_decay"]
    if group["maximize"] or group["amsgrad"] or (group["weight_decay"] and not decays):
        return None
    m, v, lr, eps = state["exp_avg"], state["exp_avg_sq"], group["lr"], group["eps"]
    beta1, beta2 = group["betas"]
    of_m, of_v = scalar(beta1, m.dtype), scalar(beta2, v.dtype)
    of_g, of_square = (scalar(1 - beta, p.dtype) for beta in (beta1, beta2))
    left = scalar(1 - lr * group["weight_decay"], p.dtype)
    floor, rate = np.zeros((), p.dtype), np.zeros((), p.dtype)

    def step(g: np.ndarray) -> None:
        if state["exp_avg"] is not m or state["exp_avg_sq"] is not v:  # they have been replaced
            return repeated(repeat_adam, p, g, state, group, t, u)
        n = state["step"]
        root = math.sqrt(1 - beta2**n)
        floor.fill(eps * root)
        rate.fill(lr * root / (1 - beta1**n))
        np.multiply(g, of_g, u)
        np.multiply(m, of_m, m)
        np.add(m, u, m)
        np.multiply(g, of_square, u)
        np.multiply(u, g, u)
        np.multiply(v, of_v, v)
        np.add(v, u, v)
        np.sqrt(v, u)
        np.add(u, floor, u)
        np.divide(m, u, u)
        np.multiply(u, rate, u)
        if decays:
            np.multiply(p, left, p)
        np.subtract(p, u, p)

    return step
