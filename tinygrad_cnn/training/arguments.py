"""The arguments of `fit`, `evaluate` and `predict`: their checks, and a loader for arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from numpy.typing import NDArray

from ..data import DataLoader, Dataset, TensorDataset
from ..frames import warn_user
from ..nn import Module
from ..optim import LBFGS
from ..tensor import Tensor
from .batches import Keys, in_order

Batch: TypeAlias = Sequence[Tensor | NDArray[Any]] | Mapping[str, Tensor | NDArray[Any]]
Loader: TypeAlias = Iterable[Batch]
Loss: TypeAlias = Callable[[Any, Tensor], Tensor]
Arrays: TypeAlias = tuple[Tensor | NDArray[Any], ...] | Mapping[str, Tensor | NDArray[Any]]
Data: TypeAlias = Loader | Arrays

BATCH_SIZE = 32
"""Examples in a batch of arrays by default."""


def check_model(name: str, model: Any) -> None:
    """TypeError unless `model` is a Module."""
    if isinstance(model, type):
        raise TypeError(f"{name}: `model` is the class {model.__name__}; pass an object of it: {model.__name__}(...)")
    if not isinstance(model, Module):
        raise TypeError(f"{name}: `model` is {model!r:.80}; it must be a module of tinygrad_cnn.nn")


def check_loss(name: str, loss: Any) -> None:
    """TypeError unless `loss` may be a function or a loss layer; ValueError if it takes a sum."""
    if isinstance(loss, type):
        raise TypeError(f"{name}: `loss` is the class {loss.__name__}; pass an object of it: {loss.__name__}()")
    if not callable(loss):
        what = f"'{loss}'" if isinstance(loss, str) else f"a {type(loss).__name__}"
        data = " (arrays are passed as one tuple: (x, y))" if _is_array(loss) else ""
        raise TypeError(
            f"{name}: `loss` is {what}{data}; it must be a function of (output, target), such as tg.cross_entropy, or a loss "
            "layer, such as nn.CrossEntropyLoss()"
        )
    ours = hasattr(type(loss), "function")  # a layer of nn
    reduction = (
        loss.keywords.get("reduction") if isinstance(loss, partial) else ours and getattr(loss, "reduction", None)
    )
    if reduction == "sum":
        raise ValueError(
            f"{name}: `loss` has reduction='sum', which grows with the batch, and losses are averaged over examples; "
            "leave it out, and multiply the learning rate by the batch size for the same steps"
        )


def check_optimizer(optimizer: Any, model: Module, loss: Any) -> None:
    """TypeError unless `optimizer` is an optimizer; ValueError unless it has parameters of the model.

    A warning if it has others in place of some, as after a layer was replaced.
    """
    if not hasattr(optimizer, "param_groups") or isinstance(optimizer, type):
        what = f"'{optimizer}'" if isinstance(optimizer, str) else f"{optimizer!r:.80}"
        if isinstance(optimizer, type):
            what = f"the class {optimizer.__name__}"
        raise TypeError(
            f"fit: `optimizer` is {what}; it must be an optimizer with the model's parameters, such as "
            "tg.optim.Adam(model.parameters(), lr=1e-3)"
        )
    if isinstance(optimizer, LBFGS):
        raise TypeError(
            "fit: `optimizer` is LBFGS, which evaluates the loss several times a step; write a loop of your own with "
            "optimizer.step(closure)"
        )
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if moved.isdisjoint(map(id, model.parameters())):
        raise ValueError(
            f"fit: `optimizer` holds none of the {type(model).__name__}'s parameters, so that nothing would be learned; make "
            "it with model.parameters(), after the model has been built or copied"
        )
    ours = dict(model.named_parameters())
    known = {id(p) for p in (*ours.values(), *(loss.parameters() if isinstance(loss, Module) else ()))}
    left_out = [name for name, p in ours.items() if p.requires_grad and id(p) not in moved]
    if left_out and not moved <= known:
        warn_user(
            f"fit: `optimizer` has parameters that are not the {type(model).__name__}'s ({len(moved - known)}), and lacks some "
            f"of its own ({len(left_out)}, such as '{left_out[0]}'), which will not be trained; was a layer replaced? Make the "
            "optimizer after that"
        )


def check_distributed(distributed: Any) -> None:
    """TypeError unless `distributed` is None or takes the steps of a training."""
    if distributed is not None and not hasattr(type(distributed), "steps_of"):
        raise TypeError(
            f"fit: `distributed` is {distributed!r:.80}; it must be a World, such as tg.distributed.World(shards=8)"
        )


def check_engine(engine: Any, distributed: Any) -> None:
    """TypeError unless `engine` is None or takes the steps of a training; ValueError if `distributed` does, too."""
    if engine is not None and not hasattr(type(engine), "steps_of"):
        raise TypeError(f"fit: `engine` is {engine!r:.80}; it must be one, such as tg.jax.Devices()")
    if engine is not None and distributed is not None:
        raise ValueError("fit: both `engine` and `distributed` are given, and each takes the steps; leave one out")


def is_arrays(data: Any) -> bool:
    """Whether `data` is a tuple of whole arrays or a dict of them, and not of batches."""
    return isinstance(data, tuple | Mapping) and any(
        map(_is_array, data.values() if isinstance(data, Mapping) else data)
    )


def keys_of_batches(data: Any, keys: Keys | None) -> Keys | None:
    """The keys for batches of :func:`loader_of`: None if it makes them of whole arrays, since they are tuples then."""
    return None if is_arrays(data) else keys


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__")


def loader_of(
    name: str, data: Any, batch_size: int | None = None, shuffle: bool | None = None, label: str = "loader",
    keys: Keys | None = None, parts: int = 2,
) -> Loader:  # fmt: skip
    """The batches of `data`: a tuple of arrays, or a dict of them with `keys`, in a DataLoader; any other loader unchanged.

    A batch has at least `parts` arrays.

    Raises:
        TypeError: if it is not an iterable of batches.
        ValueError: if there is a `batch_size` or `shuffle` for a loader, which has its own.
    """
    if is_arrays(data):
        data = in_order(data, keys, whole=f"{name}: `{label}`")
        if len(data) < parts:
            raise TypeError(f"{name}: `{label}` is a tuple of one array; pass inputs and targets, (x, y)")
        dataset = TensorDataset(*data)
        if not len(dataset):
            raise ValueError(f"{name}: `{label}` has arrays without examples; nothing can be computed")
        size = BATCH_SIZE if batch_size is None else batch_size
        return DataLoader(
            dataset, size, bool(shuffle), seed=None if shuffle else 0
        )  # without an order, nothing is drawn
    if isinstance(data, Dataset):
        raise TypeError(
            f"{name}: `{label}` is a {type(data).__name__}, which has examples and no batches; pass "
            "tg.data.DataLoader(dataset, batch_size=32, shuffle=True)"
        )
    if _is_array(data):
        raise TypeError(f"{name}: `{label}` is one array; pass a tuple of inputs and targets, (x, y), or a DataLoader")
    if isinstance(data, list) and data and parts > 1 and _is_array(data[0]):
        raise TypeError(f"{name}: `{label}` is a list of arrays, not of batches; pass whole arrays as a tuple, (x, y)")
    if isinstance(data, str | bytes | Mapping) or (not isinstance(data, Iterable) and not hasattr(data, "__getitem__")):
        raise TypeError(
            f"{name}: `{label}` is a {type(data).__name__}; it must be a DataLoader, a list of batches, or a tuple of arrays, "
            "(x, y)"
        )
    for option, value in (("batch_size", batch_size), ("shuffle", shuffle)):
        if value is not None:
            raise ValueError(
                f"{name}: `{option}` is {value!r}, but `{label}` is a {type(data).__name__}, which makes its own batches; give "
                f"`{option}` to the DataLoader, or pass a tuple of arrays, (x, y)"
            )
    loader: Loader = data
    return loader
