"""The library's optimizers as transformations of optax: the same rule, with the same names and arithmetic, on JAX's arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ...core import tracing
from ...nn import Module
from ...optim import LBFGS, Optimizer, rules
from ...optim.state import STEP
from ...tensor import Tensor
from .array import Array
from .definitions import NUMPY, helper, here
from .errors import JaxError
from .tracer import InJax
from .trees import plain


class Count(Array):
    """The number n of a step, for which 1 - b^n keeps its digits in float32, too."""

    def __rpow__(self, base: Any) -> Any:
        if isinstance(base, float) and 0 < base < 1:
            return Power(jnp.asarray(self.value) * math.log(base))
        return super().__rpow__(base)


class Power(Array):
    """b^n, given n log b."""

    def __init__(self, exponent: Any) -> None:
        super().__init__(jnp.exp(exponent), weak=True)
        self.exponent = exponent

    def __rsub__(self, other: Any) -> Any:
        return Array(-jnp.expm1(self.exponent), weak=True) if other == 1 else super().__rsub__(other)


@helper(rules.scalar)
def scalar(value: Any, dtype: Any) -> Any:
    """A number, which may be traced, in a dtype."""
    return NUMPY.asarray(value, dtype)


def check(optimizer: Any) -> None:
    """TypeError unless `optimizer` is one whose rule can run in JAX."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"jax: the optimizer is {optimizer!r:.60}; it must be one of tinygrad_cnn.optim")
    if isinstance(optimizer, LBFGS):
        raise TypeError("jax: LBFGS evaluates the loss several times a step, which no transformation of gradients does")


def updated(
    optimizer: Optimizer, p: Any, g: Any, slots: Mapping[str, Any], group: Mapping[str, Any], new: Any
) -> tuple[Any, dict[str, Any]]:
    """A parameter and its slots after the optimizer's rule, as arrays of JAX.

    Args:
        p, g: the parameter and its gradient.
        slots: its arrays and numbers, among them the number of this step.
        group: its options.
        new: whether its slots were made in this step.

    Raises:
        JaxError: if the rule, one of a class from elsewhere, reads the value of a number.
    """
    own, group = Array(p), {name: number(value) for name, value in group.items()}
    state = {name: _slot(name, value) for name, value in slots.items()}
    rule = here(type(optimizer).update)
    with tracing.trace(InJax()):
        try:
            rule(
                optimizer,
                own,
                Array(g, writeable=False),
                state,
                group,
                new,
                Array(jnp.zeros_like(p)),
                Array(jnp.zeros_like(p)),
            )
        except (JaxError, jax.errors.ConcretizationTypeError) as error:
            raise JaxError(f"{type(optimizer).__name__}: its rule cannot be computed by JAX: {error}") from error
    after = {n: jnp.asarray(plain(v)).astype(slots[n].dtype) for n, v in state.items() if getattr(slots[n], "ndim", 0)}
    return jnp.asarray(own.value).astype(p.dtype), after


class Transformed(NamedTuple):
    """The state of a :func:`transformation`: for each parameter its slots, by name."""

    slots: dict[str, dict[str, Any]]


def transformation(optimizer: Optimizer, model: Module) -> optax.GradientTransformation:
    """An optimizer of the library as a transformation of optax, for loops of one's own.

    It takes the gradients of ``jax.grad`` and the parameters of ``jax.state(model)``, and gives the same steps as the optimizer
    would, with its options as they are now; parameters that the optimizer does not have stay as they are.

    Args:
        optimizer: any of :mod:`tinygrad_cnn.optim` but LBFGS.
        model: the model whose parameters it has.

    Raises:
        TypeError: for another optimizer or model.
        ValueError: if the optimizer has a parameter that is not the model's.

    >>> import jax, numpy as np, optax, tinygrad_cnn as tg
    >>> model = tg.nn.Linear(2, 1)
    >>> adam = tg.jax.transformation(tg.optim.Adam(model.parameters(), lr=0.5), model)
    >>> params, _ = tg.jax.state(model)
    >>> updates, state = adam.update(jax.tree.map(np.ones_like, params), adam.init(params), params)
    >>> np.asarray(updates["bias"]).round(4).tolist()
    [-0.5]
    """
    check(optimizer)
    if not isinstance(model, Module):
        raise TypeError(f"jax.transformation: `model` is {model!r:.60}; it must be a module of tinygrad_cnn.nn")
    groups = {name: group for name, _, group in members(optimizer, model)}

    def init(params: dict[str, Any]) -> Transformed:
        own = dict(model.named_parameters())
        first = {
            n: {m: s.first(np.asarray(params[n]), groups[n]) for m, s in _needed(optimizer, own[n], groups[n])}
            for n in groups
        }
        return Transformed(jax.tree.map(jnp.asarray, first))

    def update(
        grads: dict[str, Any], state: Transformed, params: dict[str, Any] | None = None
    ) -> tuple[Any, Transformed]:
        if params is None:
            raise ValueError("jax.transformation: the rule needs the parameters; call update(grads, state, params)")
        updates = {name: jnp.zeros_like(g) for name, g in grads.items()}
        after = {}
        for name, group in groups.items():
            slots = dict(state.slots[name])
            here(type(optimizer).advance)(optimizer, slots, group)
            p, arrays = updated(optimizer, params[name], grads[name], slots, group, new=False)
            here(type(optimizer).conclude)(optimizer, slots, group)
            updates[name], after[name] = p - params[name], {**slots, **arrays}
        return updates, Transformed(after)

    return optax.GradientTransformation(init, update)


def _needed(optimizer: Optimizer, p: Tensor, group: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, slot) for name, slot in optimizer.slots_of(p).items() if slot.is_needed(group)]


def members(optimizer: Optimizer, model: Module) -> list[tuple[str, Tensor, dict[str, Any]]]:
    """For each parameter of the optimizer its name in the model, itself, and its group. ValueError if it is not the model's."""
    names = {id(p): name for name, p in model.named_parameters()}
    found = [(names.get(id(p)), p, group) for group in optimizer.param_groups for p in group["params"]]
    if any(name is None for name, _, _ in found):
        raise ValueError(
            f"jax: {type(optimizer).__name__} has parameters that are not the {type(model).__name__}'s; make it with "
            "model.parameters(), and put a loss with parameters into the model"
        )
    return found  # type: ignore[return-value]


def _slot(name: str, value: Any) -> Any:
    if name == STEP:
        return Count(jnp.asarray(value), weak=True)
    return number(value) if getattr(value, "ndim", None) == 0 else Array(jnp.asarray(value))


class Option(Array):
    """An option of a rule that changes from step to step. Whether it is 0 is known."""

    def __init__(self, value: Any, truth: bool) -> None:
        super().__init__(jnp.asarray(value), weak=True)
        self.truth = truth

    def __bool__(self) -> bool:
        return self.truth


def option(value: Any, known: Any) -> Any:
    """An option, or several in a tuple, of the values `known` when it was traced."""
    if isinstance(value, tuple):
        return tuple(map(option, value, known))
    return Option(value, bool(known))


def number(value: Any) -> Any:
    """A number of a rule, or several in a tuple: one that is traced as what takes the place of a Python number."""
    if isinstance(value, tuple):
        return tuple(map(number, value))
    return Array(value, weak=True) if isinstance(value, jax.Array) else value
