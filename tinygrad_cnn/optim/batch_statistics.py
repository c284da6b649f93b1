"""The running statistics of batch normalization, measured anew for the present weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..core.grad_mode import no_grad

if TYPE_CHECKING:
    from ..nn import Module
    from ..tensor import Tensor

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@no_grad()
def update_bn(loader: Iterable[Any], model: Module) -> None:
    """Measure the running mean and variance of each normalization in a model: their plain means over the batches.

    Averaged weights, as of :class:`EMA`, have other activations than the weights in whose steps the statistics were updated.
    The model is called in training mode, dropout included; afterwards each module has its own mode again. A model without
    running statistics is not called.

    Reference: Izmailov et al., "Averaging weights leads to wider optima and better generalization", arXiv:1803.05407. As in
    PyTorch, batches count alike, whatever their sizes.

    Args:
        loader: batches, iterated once. Of a tuple or list, the model is given all parts but the last, the target; a batch of
            one array is the model's argument.
        model: a module.

    Raises:
        TypeError: if `model` is not a module, or a batch is a dict or has no arrays.
        ValueError: if there is no batch. After any error, the statistics are as before.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> model = tg.nn.Sequential(tg.nn.BatchNorm1d(2))
    >>> x = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    >>> tg.optim.update_bn([(x, None), (x + 2, None)], model)
    >>> model[0].running_mean
    Tensor([3., 5.], dtype=float32)
    """
    if not callable(getattr(model, "modules", None)):
        order = "; the loader comes first" if callable(getattr(loader, "modules", None)) else ""
        raise TypeError(
            f"update_bn: `model` is a {type(model).__name__}; it must be a module of tinygrad_cnn.nn{order}"
        )
    if hasattr(loader, "__array__") or not isinstance(loader, Iterable):
        raise TypeError(
            f"update_bn: `loader` is a {type(loader).__name__}; it must give batches: put one batch in a list"
        )
    layers = [module for module in model.modules() if getattr(module, "running_mean", None) is not None]
    if not layers:
        return
    with _measuring(model, layers):
        called = False
        for batch in loader:
            model(*_inputs(batch))
            called = True
        if not called:
            raise ValueError("update_bn: `loader` gave no batch; is it empty, or an iterator that was used before?")


def _inputs(batch: Any) -> list[Any]:
    """The model's arguments in a batch."""
    if isinstance(batch, Mapping):
        raise TypeError(
            "update_bn: a batch is a dict; give the model's arguments alone, such as "
            "update_bn(([batch['image']] for batch in loader), model)"
        )
    parts = [*(batch[:-1] if len(batch) > 1 else batch)] if isinstance(batch, tuple | list) else [batch]
    if others := [type(part).__name__ for part in parts if not getattr(part, "ndim", 0)]:
        raise TypeError(
            f"update_bn: a batch has a {others[0]} in it; its parts must be arrays with the examples along their first axis"
        )
    return parts


@contextmanager
def _measuring(model: Module, layers: list[Any]) -> Iterator[None]:
    """Let each call of a layer add its statistics to their plain mean; after an exception, the old ones are back."""
    modes = [(module, module.training) for module in model.modules()]
    before = [(tensor, tensor.numpy().copy()) for layer in layers for tensor in _statistics(layer)]
    momentums = [layer.momentum for layer in layers]
    handles = [layer.register_forward_pre_hook(_counting()) for layer in layers]
    try:
        for layer in layers:
            layer.reset_running_stats()
        model.train()
        yield
    except BaseException:
        for tensor, values in before:
            tensor.copy_(values)
        raise
    finally:
        for handle, layer, momentum in zip(handles, layers, momentums, strict=True):
            handle.remove()
            layer.momentum = momentum
        for module, training in modes:
            module.training = training


def _statistics(layer: Any) -> list[Tensor]:
    found = (getattr(layer, name, None) for name in STATISTICS)
    return [tensor for tensor in found if tensor is not None]


def _counting() -> Callable[[Any, tuple[Any, ...]], None]:
    """A hook that gives the n-th call of a layer the momentum 1/n; a call without examples measures nothing."""
    calls = 0

    def hook(layer: Any, inputs: tuple[Any, ...]) -> None:
        nonlocal calls
        if 0 not in getattr(inputs[0] if inputs else None, "shape", ()):
            calls += 1
        layer.momentum = 1 / max(calls, 1)

    return hook
