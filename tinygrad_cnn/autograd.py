"""Derivatives as function calls."""

from __future__ import annotations

from collections.abc import Sequence

from .methods import TensorLike
from .tensor import Tensor, incoming
from .walk import pull_back


def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: TensorLike | Sequence[TensorLike | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Gradients of sum <output, grad_output> with respect to each input, without touching any ``grad``.

    Args:
        outputs: one Tensor or several.
        inputs: the Tensors, leaves or not, to differentiate by.
        grad_outputs: one incoming gradient per output; None for an output of a single element means 1.
        retain_graph: keep the graph for another backward; by default, what `create_graph` is.
        create_graph: record the gradients, so that they can be differentiated in turn.
        allow_unused: give None for an input that no output depends on, instead of raising.

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
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    starts = (
        list(grad_outputs)
        if isinstance(grad_outputs, list | tuple) and not isinstance(outputs, Tensor)
        else [grad_outputs]
    )
    if grad_outputs is None:
        starts = [None] * len(outs)
    if len(starts) != len(outs):
        raise ValueError(f"gradients: {len(starts)} `grad_outputs` for {len(outs)} `outputs`; give one for each")
    for i, t in enumerate(ins):
        if t._node is None:
            raise RuntimeError(
                f"gradients: `inputs[{i}]` does not require a gradient; set requires_grad=True before using it"
            )
    roots = [incoming("gradients", out, start, create_graph) for out, start in zip(outs, starts, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    places = {t._node for t in ins if t._node is not None}
    found = pull_back(roots, places, retain=retain, create=create_graph)
    results: list[Tensor | None] = []
    for i, t in enumerate(ins):
        g = found.get(t._node) if t._node is not None else None
        if g is None and not allow_unused:
            raise RuntimeError(
                f"gradients: no output depends on `inputs[{i}]`; pass allow_unused=True to get None for it"
            )
        results.append(g if g is None or isinstance(g, Tensor) else Tensor._of(g))
    return tuple(results)
