"""The tracer under which the library computes with arrays of JAX, and the library's rules as JAX's derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...core import gradients, tracing
from ...core.errors import explain, lacking
from ...core.grad_mode import enable_grad, is_grad_enabled
from ...core.graph import Op
from ...core.node import Argument, Node
from ...core.tracing import Args
from ...core.versions import tick
from ...ops import in_place
from ...tensor import Tensor
from . import checks
from .array import Array, is_traced
from .definitions import defined, here, is_by_jax, pull
from .errors import JaxError
from .trees import is_jax, plain


class InJax(tracing.Tracer):
    """Computes every op that is given an :class:`Array` by JAX. Make it before the Tensors that the function may use.

    Attributes:
        state: the Tensors that may be written: buffers.
    """

    follows_rules = True

    def __init__(self) -> None:
        self.state: Sequence[Tensor] = ()
        self._since = tick()

    # Ops

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        self._refuse_outside(op.name, inputs)
        arrays = tuple(map(operand, inputs))
        if not is_jax((arrays, params)):
            return tracing.performed(op, inputs, params, self, self.outer)
        y, residuals = self._differentiable(op, arrays, params)
        result = tensor_of(y)
        sig = op.signature
        served = (
            inputs if sig.variadic else [x for name, x in zip(sig.inputs, inputs, strict=True) if name in sig.served]
        )
        nodes = tuple([getattr(x, "_node", None) for x in served])
        if any(node is not None for node in nodes) and is_grad_enabled() and (sig.rules or y.dtype.kind in "fc"):
            node = result._node = object.__new__(Node)
            node.op, node.number, node.parents, node.params = op, tick(), nodes, params
            node.saved = _saved(op, arrays, params, y, residuals)
            node.shape, node.strides, node.dtype = y.shape, y.strides, y.dtype
        return result

    def _differentiable(self, op: Op, arrays: Args, params: Args) -> tuple[Array, Args]:
        """The output of an op and its residuals, with the op's rules as JAX's derivative."""
        sig = op.signature
        places = [i for i, x in enumerate(arrays) if isinstance(x, Array) and isinstance(x.value, jax.Array)]
        flat, form = jax.tree.flatten(params)
        others = [i for i, x in enumerate(flat) if isinstance(x, Array) and isinstance(x.value, jax.Array)]
        if not sig.differentiable or not places or is_by_jax(op):
            y, residuals, wrong = _computed_array(self, op, arrays, params)
            _note(wrong)
            return y, residuals
        shown: dict[str, Any] = {}

        def whole(values: Sequence[Any]) -> tuple[Args, Args]:
            given, named = list(arrays), list(flat)
            for into, at, part in ((given, places, values[: len(places)]), (named, others, values[len(places) :])):
                for i, value in zip(at, part, strict=True):
                    into[i] = Array(value, into[i].dtype, writeable=False)
            return tuple(given), jax.tree.unflatten(form, named)

        def outputs(values: Sequence[Any]) -> Any:
            y, residuals, wrong = _computed_array(self, op, *whole(values))
            leaves, tree = jax.tree.flatten(plain(list(residuals)))
            fixed = [None if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
            shown.update(dtype=y.dtype, tree=tree, fixed=fixed)
            return jnp.asarray(y.value), [leaf for leaf in leaves if isinstance(leaf, jax.Array)], wrong

        def residuals_of(leaves: Sequence[Any]) -> Args:
            found = iter(leaves)
            each = [next(found) if leaf is None else leaf for leaf in shown["fixed"]]
            tree = jax.tree.unflatten(shown["tree"], each)
            return tuple(_array_of(part) for part in tree)

        def forward_only(*values: Any) -> Any:
            return outputs(values)

        f: Any = jax.custom_vjp(forward_only)

        def forward(*values: Any) -> Any:
            found = f(*[value.value for value in values])
            needs = tuple([bool(value.perturbed) for value in values])
            return found, ([value.value for value in values], *found[:2], _Static(needs))

        def backward(kept: Any, cotangents: Any) -> Any:
            values, y, leaves, needs = kept
            g = cotangents[0]
            if isinstance(g, jax.custom_derivatives.SymbolicZero):
                return tuple([None] * len(values))
            inputs, named = whole(values)
            wanted = dict(zip(places, needs.value, strict=False))
            found = _pulled(op, inputs, named, Array(y, shown["dtype"]), residuals_of(leaves), jnp.asarray(g), wanted)
            return tuple(
                [_cotangent(found.get(i), v) for i, v in zip(places, values, strict=False)] + [None] * len(others)
            )

        f.defvjp(forward, backward, symbolic_zeros=True)
        y, leaves, wrong = f(*[arrays[i].value for i in places], *[flat[i].value for i in others])
        _note(wrong)
        return Array(y, shown["dtype"], writeable=False), residuals_of(leaves)

    # Rules, for gradients within the function

    def vjp(self, node: Node, g: Any, saved: Args, parents: Args) -> Args:
        assert node.saved is not None
        at = dict(zip(node.op.signature.saved, node.saved, strict=True))
        places = _places(node)
        values = tuple([_tensor_at(at[name], places.get(name)) for name in node.op.signature.saved])
        return pull(node.op)(g if isinstance(g, Tensor) else Tensor._of(g), values, node.params, parents)  # type: ignore[no-any-return]

    # What is no op

    def _refuse_outside(self, name: str, inputs: Iterable[Any]) -> None:
        """JaxError for a Tensor from outside that requires a gradient, which JAX would not know of."""
        for x in inputs:
            node = getattr(x, "_node", None)
            if node is not None and node.number < self._since:
                raise JaxError(
                    f"{name}: a Tensor that requires a gradient is neither an argument of the function nor a parameter of the "
                    "model, and JAX would take it for a constant: give it as an argument, or t.detach() if it is a constant"
                )

    def compute(self, function: Callable[..., Any], *arrays: Any) -> Any:
        return here(function)(*arrays)

    def effect(self, function: Callable[..., None], *arrays: Any) -> None:
        if function is in_place._write:
            target, value = arrays
        elif function is in_place._write_rule:
            target, rule, *given = arrays
            value = here(rule)(target, *given)
        else:
            name = getattr(getattr(function, "func", function), "__qualname__", repr(function))
            raise JaxError(
                f"{name}: it changes state outside of the function, and functions of JAX are pure: return what changes. "
                "Optimizers are optax's there, or fit(..., engine=tg.jax.Devices()) uses them"
            )
        for tensor in self.state:
            if tensor._array is target:
                now = jnp.asarray(value.value if isinstance(value, Array) else value).astype(plain(target).dtype)
                own: Any = tensor
                own._array = Array(jnp.broadcast_to(now, target.shape), target.dtype, writeable=False)
                return
        raise JaxError(
            "a Tensor is written in place that is no buffer of the model: functions of JAX are pure: return its new value"
        )

    def read(self, tensor: Tensor) -> None:
        array: Any = tensor._array
        if isinstance(array, Array) and is_traced(array.value):
            raise JaxError(
                "the value of a Tensor is read in Python (`if`, `while`, float(), item(), numpy(), print), and it is not known "
                "while JAX traces the function: choose with tg.where, or jax.lax.cond and jax.lax.while_loop outside"
            )

    def assign(self, tensor: Tensor) -> None:
        self._refuse_outside("x[i] = v", [tensor])

    def draw(self, generator: np.random.Generator) -> None:
        raise JaxError(
            "NumPy's generator draws, and under jax.jit each call would have the same numbers: draw with jax.random and give "
            "the function the draws as arguments. Dropout draws from key="
        )

    def set_grad(self) -> None:
        raise JaxError(
            "backward() sets the gradients of Tensors, and functions of JAX are pure: use jax.grad, or tg.grad inside"
        )


@jax.tree_util.register_static
class _Static:
    """A value that is no array among those that a derivative keeps."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


def _note(wrong: Any) -> None:
    if wrong is not None:
        checks.note(wrong)


def _array_of(part: Any) -> Any:
    if isinstance(part, jax.Array):
        return Array(part, writeable=False)
    return type(part)(_array_of(each) for each in part) if type(part) in (list, tuple) else part


def operand(x: Any) -> Any:
    """The array of an operand. As in the library, no gradient passes through a Tensor that is detached or was not recorded."""
    if not isinstance(x, Tensor):
        return x
    array: Any = x._array
    if x._node is None and isinstance(array, Array) and isinstance(array.value, jax.Array):
        return Array(jax.lax.stop_gradient(array.value), array.dtype, writeable=False)
    return array


def _computed(tracer: InJax, op: Op, inputs: Args, params: Args) -> tuple[Any, Args]:
    """The output of an op, by its row or its definition, and its residuals."""
    named = dict(zip(op.signature.params, params, strict=True))
    try:
        found = defined(op)(*inputs, **named)
    except JaxError as error:
        if str(error).startswith("op "):
            raise
        raise JaxError(f"op {op.name}: {error}") from error
    except jax.errors.NonConcreteBooleanIndexError as error:
        raise JaxError(f"op {op.name}: the size of its result depends on values; use tg.where") from error
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise JaxError(
            f"op {op.name}: it asks for values, which are not known while JAX traces the function"
        ) from error
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        raise explain(op, error, inputs) from error
    y, *residuals = found if op.signature.residuals else (found,)
    return (_array_of(y) if isinstance(y, jax.Array) else y), tuple(map(_array_of, residuals))


def _computed_array(tracer: InJax, op: Op, inputs: Args, params: Args) -> tuple[Array, Args, Any]:
    """:func:`_computed` with the output as an array of JAX, and whether a check found something wrong, or None."""
    with checks.collected() as wrong, tracing.trace(tracer):
        y, residuals = _computed(tracer, op, inputs, params)
    if not isinstance(y, Array):
        y = Array(np.asarray(y))
    return Array(jnp.asarray(y.value), y.dtype, writeable=False), residuals, checks.any_of(wrong)


def _saved(op: Op, arrays: Args, params: Args, y: Any, residuals: Args) -> Args:
    """What a node of this call saves for its rules."""
    sig = op.signature
    values: dict[str, Any] = {sig.inputs[0]: arrays} if sig.variadic else dict(zip(sig.inputs, arrays, strict=True))
    values |= {**dict(zip(sig.residuals, residuals, strict=True)), "y": y}
    return tuple([values[name] for name in sig.saved])


def _places(node: Node) -> dict[str, Any]:
    sig = node.op.signature
    assert node.parents is not None
    known: dict[str, Any] = (
        {sig.inputs[0]: node.parents} if sig.variadic else dict(zip(sig.served, node.parents, strict=True))
    )
    return {**known, "y": node}


def _tensor_at(value: Any, place: Any) -> Any:
    """A saved array as a Tensor at its place in the graph."""
    if isinstance(value, tuple):
        at = place if isinstance(place, tuple) else (None,) * len(value)
        return tuple(_tensor_at(v, p) for v, p in zip(value, at, strict=True))
    return tensor_of(value, place) if isinstance(value, Array | np.ndarray) else value


def tensor_of(array: Any, node: Any = None) -> Tensor:
    """A Tensor that holds an Array."""
    return Tensor._of(array, node)


def _pulled(
    op: Op, inputs: Args, params: Args, y: Array, residuals: Args, g: Any, wanted: dict[int, bool]
) -> dict[int, Any]:
    """The gradients for the inputs at the places that are wanted, by the op's rules."""
    sig = op.signature
    names = [sig.inputs[0]] * len(inputs) if sig.variadic else sig.inputs
    served = [i for i, name in enumerate(names) if name in sig.served]
    needed = {i for i, need in wanted.items() if need and inputs[i].dtype.kind in "fc"}
    if sig.differentiable and not needed.issubset(served):
        raise TypeError(f"{op.name}: it has no gradient rule for `{names[min(needed.difference(served))]}`")
    parents = tuple([_place(inputs[i]) if i in needed else None for i in served])
    if sig.lacks_rules:
        raise lacking(op, parents)
    if not any(parents):
        return {}
    inner = InJax()
    values = _saved(op, inputs, params, y, residuals)
    saved = tuple(
        [
            _argument(v) if name not in sig.residuals else _tensor_at(v, None)
            for name, v in zip(sig.saved, values, strict=True)
        ]
    )
    with tracing.trace(inner), enable_grad(), checks.collected():
        pulled = pull(op)(_argument(Array(g, y.dtype)), saved, params, parents)
        found = {}
        for n, (i, r) in enumerate(zip(served, pulled, strict=True)):
            if i in needed:
                if r.dtype.kind == inputs[i].dtype.kind == "f":  # such as of mean(dtype=np.float64)
                    r = r.astype(inputs[i].dtype)
                fits = r.shape == inputs[i].shape and r.dtype == inputs[i].dtype
                found[i] = r if fits else gradients.fit(r, parents[n], op, n)  # type: ignore[arg-type]
    return found


def _argument(value: Any) -> Any:
    """A value as a Tensor that gradients pass through."""
    if isinstance(value, tuple):
        return tuple(map(_argument, value))
    return argument(value) if isinstance(value, Array) else _tensor_at(value, None)


def argument(array: Array) -> Tensor:
    """An array as a Tensor, and as the argument of a function that is differentiated, if it is floating-point or complex."""
    t = tensor_of(array)
    if array.dtype.kind in "fc":
        t._node = Argument(t)
    return t


def _place(x: Any) -> Any:
    """What rules and errors ask of the node of an input."""
    return SimpleNamespace(shape=x.shape, dtype=x.dtype, strides=x.strides, op=None, number=0)


def _cotangent(found: Any, value: Any) -> Any:
    if found is None:
        return None
    return jnp.asarray(plain(getattr(found, "_array", found)), value.dtype)
