"""Functions and models of the library as pure functions of JAX's arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from ...core import tracing
from ...nn import Module, functional_call
from ...tensor import Tensor
from ...training.measure import modes
from . import checks
from .array import WIDE, Array, has_64_bits, held
from .errors import JaxError
from .keys import drawing
from .tracer import InJax, argument, operand

State: TypeAlias = dict[str, Any]
"""Arrays of JAX by the names of a model's parameters or buffers."""


def function(f: Callable[..., Any]) -> Callable[..., Any]:
    """f as a function of arrays of JAX, whose transforms differentiate it by the library's rules.

    Args:
        f: a function written with this library, or with NumPy's names on Tensors. It must be pure.

    Returns:
        A function of the same arguments, in which arrays, also in lists, tuples and dicts, stand for Tensors; and of `key`, a
        key of JAX from which dropout draws, if f draws. It can be given to jax.jit, jax.grad, jax.vmap, jax.lax.scan and so
        on; forward mode (jax.jvp, jax.jacfwd, jax.hessian) is an error of JAX, and jax.jacrev(jax.jacrev(f)) is the Hessian.

    Raises:
        TypeError: if f cannot be called; if an array is float64 and JAX's option jax_enable_x64 is off.
        JaxError: in the call, if f reads a value in Python, draws without a key, or writes a Tensor from outside; if an op has
            no form in JAX.

    >>> import jax, numpy as np, tinygrad_cnn as tg
    >>> loss = tg.jax.function(lambda w, x: tg.relu(x @ w).sum())
    >>> jax.jit(jax.grad(loss))(np.ones(2, np.float32), np.float32([[1, 2], [-3, 1]])).tolist()
    [1.0, 2.0]
    """
    if not callable(f):
        raise TypeError(f"jax.function: `f` is {f!r:.60}; it must be a function")

    @functools.wraps(f)
    def called(*args: Any, key: Any = None, **kwargs: Any) -> Any:
        tracer = InJax()
        args, kwargs = jax.tree.map(tensor, (args, kwargs))
        return results(tracer, key, lambda: f(*args, **kwargs))

    return called


def tensor(x: Any) -> Any:
    """An array of JAX or NumPy as a Tensor that holds it; anything else as it is."""
    if isinstance(x, Tensor):
        raise TypeError("jax.function: an argument is a Tensor; give its array, x.numpy(), or an array of JAX")
    if not isinstance(x, jax.Array | np.ndarray | np.generic):
        return x
    if x.dtype.kind not in "biufcV" or (not jnp.issubdtype(x.dtype, jnp.number) and x.dtype != bool):
        return x  # a key
    return argument(Array(to_jax(x), writeable=False))


def to_jax(x: Any, name: str = "an argument") -> jax.Array:
    """An array of JAX. TypeError if it has 64 bits a number, and JAX would make it half as wide."""
    if x.dtype in WIDE and not has_64_bits():
        narrow = held(x.dtype)
        raise TypeError(
            f"jax: {name} is {x.dtype}, which JAX makes {narrow} unless its option jax_enable_x64 is on; call "
            f"jax.config.update('jax_enable_x64', True) first, or convert it with astype(np.{narrow})"
        )
    return x if isinstance(x, jax.Array) else jnp.array(x)  # a copy: what jnp.asarray shares may be written later


def results(tracer: InJax, key: Any, f: Callable[[], Any]) -> Any:
    """The result of f, with arrays of JAX for Tensors; NaN if a check of values failed."""
    with checks.collected() as wrong, drawing(key), tracing.trace(tracer):
        found = jax.tree.map(_array, f(), is_leaf=lambda x: isinstance(x, Tensor | Array))
    failed = checks.any_of(wrong)
    return jax.tree.map(lambda x: checks.poisoned(x, failed) if isinstance(x, jax.Array) else x, found)


def _array(x: Any) -> Any:
    x = operand(x)
    if isinstance(x, Array):
        if x.dtype in WIDE and not has_64_bits():
            raise JaxError(
                f"the result is {x.dtype}, and JAX has only 32 bits unless its option jax_enable_x64 is on: call "
                f"jax.config.update('jax_enable_x64', True) first, or convert the inputs to {held(x.dtype)}"
            )
        return jnp.asarray(x.value)
    return to_jax(x, "the result") if isinstance(x, np.ndarray) else x


def state(model: Module) -> tuple[State, State]:
    """The parameters and the buffers of a model as arrays of JAX, by their names, which are PyTorch's.

    Raises:
        TypeError: if `model` is no Module; if one of them is float64 and JAX's option jax_enable_x64 is off.

    >>> import tinygrad_cnn as tg
    >>> params, buffers = tg.jax.state(tg.nn.BatchNorm1d(3))
    >>> sorted(params), sorted(buffers)
    (['bias', 'weight'], ['num_batches_tracked', 'running_mean', 'running_var'])
    """
    _check("state", model)
    kinds = (model.named_parameters(), model.named_buffers())
    params, buffers = ({name: to_jax(t.numpy(), f"'{name}'") for name, t in kind} for kind in kinds)
    return params, buffers


def apply(model: Module) -> Callable[..., tuple[Any, State]]:
    """A model as a pure function ``(params, buffers, *inputs, key=None, training=False) -> (output, buffers)``.

    The model itself is not changed. In training, batch normalization returns its new statistics among the buffers, and
    dropout draws from `key`.

    Raises:
        TypeError: if `model` is no Module.
        KeyError, ValueError: in the call, for a name that the model does not have or lacks, or an array of another shape.
        JaxError: in the call, see :func:`function`.

    >>> import jax, numpy as np, tinygrad_cnn as tg
    >>> model = tg.nn.Sequential(tg.nn.Linear(2, 2), tg.nn.Dropout(0.5))
    >>> apply = jax.jit(tg.jax.apply(model), static_argnames="training")
    >>> y, _ = apply(*tg.jax.state(model), np.ones((3, 2), np.float32), key=jax.random.key(0), training=True)
    >>> y.shape
    (3, 2)
    """
    _check("apply", model)
    names = [name for kind in (model.named_parameters(), model.named_buffers()) for name, _ in kind]

    def applied(
        params: State, buffers: State, *inputs: Any, key: Any = None, training: bool = False
    ) -> tuple[Any, State]:
        given = {**params, **buffers}
        if missing := [name for name in names if name not in given]:
            raise KeyError(
                f"jax.apply: neither `params` nor `buffers` has {missing[0]!r}; give both, as jax.state returns them"
            )
        tracer = InJax()
        own, args = placed(tracer, params, buffers), jax.tree.map(tensor, inputs)

        def output() -> Any:
            with modes(model):
                model.train(training)
                y = functional_call(model, own, args)
            return y, {name: own[name] for name in buffers}

        found: tuple[Any, State] = results(tracer, key, output)
        return found

    return applied


def placed(tracer: InJax, params: State, buffers: State) -> dict[str, Tensor]:
    """Tensors for the parameters, through which gradients pass, and for the buffers, which may be written."""
    own = {name: tensor(value) for name, value in params.items()}
    written = {name: tensor(value).detach() for name, value in buffers.items()}
    tracer.state = [*tracer.state, *written.values()]
    return own | written


def load(model: Module, params: Mapping[str, Any], buffers: Mapping[str, Any] | None = None) -> None:
    """Write parameters and buffers, arrays of JAX, into a model.

    Raises:
        TypeError: if `model` is no Module, or an array has another kind of dtype.
        KeyError: for a name that the model does not have.
        ValueError: for another shape. Nothing is changed in each of these cases.

    >>> import tinygrad_cnn as tg
    >>> model = tg.nn.Linear(2, 1)
    >>> params, buffers = tg.jax.state(model)
    >>> tg.jax.load(model, {name: 0 * p + 1 for name, p in params.items()}, buffers)
    >>> model.weight.tolist()
    [[1.0, 1.0]]
    """
    _check("load", model)
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    found = []
    for name, value in {**params, **(buffers or {})}.items():
        if name not in own:
            raise KeyError(f"jax.load: the model has no parameter or buffer {name!r}; it has {', '.join(own)}")
        array = np.asarray(value)
        if array.shape != own[name].shape or array.dtype.kind != own[name].dtype.kind:
            raise ValueError(
                f"jax.load: '{name}' is {array.dtype} {array.shape}; it must be {own[name].dtype} {own[name].shape}"
            )
        found.append((own[name], array))
    for t, array in found:
        t.copy_(array)


def _check(name: str, model: Any) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"jax.{name}: `model` is {model!r:.60}; it must be a module of tinygrad_cnn.nn")


__all__ = ["JaxError", "apply", "function", "load", "state"]
