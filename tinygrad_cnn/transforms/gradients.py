"""Gradients of Tensors with respect to others, from what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, overload

from ..core.backward import pull_back
from ..core.remedies import publish
from ..ops.data import TensorLike
from ..ops.elementwise import copy
from ..ops.real import kind
from ..tensor.tensor import Tensor, incoming

__all__ = ["gradients"]


@overload
def gradients(
    outputs: Tensor | Iterable[Tensor], inputs: Tensor | Iterable[Tensor],
    grad_outputs: TensorLike | Sequence[TensorLike | None] | None = None, retain_graph: bool | None = None,
    create_graph: bool = False, allow_unused: Literal[False] = False,
) -> tuple[Tensor, ...]: ...  # fmt: skip
@overload
def gradients(
    outputs: Tensor | Iterable[Tensor], inputs: Tensor | Iterable[Tensor],
    grad_outputs: TensorLike | Sequence[TensorLike | None] | None = None, retain_graph: bool | None = None,
    create_graph: bool = False, allow_unused: bool = False,
) -> tuple[Tensor | None, ...]: ...  # fmt: skip
def gradients(
    outputs: Tensor | Iterable[Tensor], inputs: Tensor | Iterable[Tensor],
    grad_outputs: TensorLike | Sequence[TensorLike | None] | None = None, retain_graph: bool | None = None,
    create_graph: bool = False, allow_unused: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """Gradients of sum <output, grad_output> with respect to each input. No ``grad`` is changed.

    Args:
        outputs: one Tensor or several.
        inputs: the Tensors, leaves or not, to differentiate by.
        grad_outputs: one incoming gradient per output; None for an output of a single element means 1.
        retain_graph: keep the graph for another backward; by default, what `create_graph` is.
        create_graph: record the gradients, so that they can be differentiated in turn.
        allow_unused: return None for an input on which no output depends, instead of raising.

    Returns:
        One gradient per input, in its shape and dtype.

    Raises:
        RuntimeError: if an output or input does not require a gradient, an input is unused, or the graph was freed.
        ValueError: if the numbers of outputs and gradients, or their shapes, disagree.

    >>> import tinygrad_cnn as tg
    >>> x = tg.Tensor(3.0, requires_grad=True)
    >>> (g,) = tg.gradients(x**3, x, create_graph=True)
    >>> (h,) = tg.gradients(g, x)
    >>> g.item(), h.item()
    (27.0, 18.0)
    """
    outs, ins = _tensors("outputs", outputs), _tensors("inputs", inputs)
    starts: list[Any] = [grad_outputs]
    if grad_outputs is None:
        starts = [None] * len(outs)
    elif isinstance(grad_outputs, list | tuple) and not isinstance(outputs, Tensor):
        starts = list(grad_outputs)
    if len(starts) != len(outs):
        raise ValueError(f"gradients: {len(starts)} `grad_outputs` for {len(outs)} `outputs`; give one for each")
    for i, t in enumerate(ins):
        if t._node is None:
            raise RuntimeError(f"gradients: `inputs[{i}]` does not require a gradient; set requires_grad=True before")
    roots = [incoming("gradients", out, start, create_graph) for out, start in zip(outs, starts, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    places = {t._node for t in ins if t._node is not None}
    found = pull_back(roots, places, retain=retain, create=create_graph)
    results: list[Tensor | None] = []
    for i, t in enumerate(ins):
        g = found.get(t._node) if t._node is not None else None
        if g is None and not allow_unused:
            raise RuntimeError(f"gradients: no output depends on `inputs[{i}]`; allow_unused=True returns None for it")
        if g is not None and any(t is earlier for earlier in ins[:i]):
            g = copy(g)  # an input named twice gets two gradients that share nothing
        results.append(g if g is None or isinstance(g, Tensor) else Tensor._of(g))
    return tuple(results)


def _tensors(name: str, given: Any) -> list[Tensor]:
    """One Tensor, or an iterable of them, as a list."""
    found = list(given) if isinstance(given, Iterable) and not isinstance(given, Tensor) else [given]
    for each in found:
        if not isinstance(each, Tensor):
            raise TypeError(f"gradients: `{name}` holds {kind(each)}; it must be a Tensor, or a list of Tensors")
    return found


publish(globals())
