"""Pruning: parameters with a mask of zeros and ones.

Names, arguments and the names of the state are those of ``torch.nn.utils.prune``: a pruned ``weight`` is ``weight_orig``, which
is learned, times ``weight_mask``, a buffer. Both are saved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...checks import checked, number, whole
from ...core.grad_mode import no_grad
from ...core.remedies import publish
from ...numpy_api.creation import rand
from ...tensor import Tensor
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "RandomStructured",
    "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned", "l1_unstructured",
    "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip

M = TypeVar("M", bound=Module)
Mask = NDArray[Any]


class _Pruned:
    """A computed attribute: the original times the mask."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Any) -> Any:
        return getattr(module, f"{self.name}_orig") * getattr(module, f"{self.name}_mask")

    def assign(self, module: Any, value: Any) -> None:
        """Raise an AttributeError: where the mask is 0, the value would be lost."""
        raise AttributeError(
            f"{type(module).__name__}: `{self.name}` is pruned and cannot be set; write `{self.name}_orig` by copy_, or call "
            f"nn.utils.prune.remove(module, {self.name!r}) first"
        )


class BasePruningMethod(ABC):
    """A way of pruning. Define ``compute_mask``, and call the class's ``apply``.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> class EverySecond(tg.nn.utils.prune.BasePruningMethod):
    ...     def compute_mask(self, t, default_mask):
    ...         mask = default_mask.copy()
    ...         mask.reshape(-1)[::2] = 0
    ...         return mask
    >>> layer = tg.nn.Linear(4, 1)
    >>> method = EverySecond.apply(layer, "weight")
    >>> layer.weight_mask.tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """

    PRUNING_TYPE: ClassVar[str] = "unstructured"
    """If a pruned tensor is pruned again, what is considered. "unstructured": the elements that are left; "structured": the
    slices along the axis ``dim`` that are left; "global": everything."""

    @abstractmethod
    def compute_mask(self, t: NDArray[Any], default_mask: Mask) -> Mask:
        """A mask of zeros and ones, of the shape of `t`, which is an array of what is considered."""

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prune a parameter of a module by the method that is made with the other arguments, and return the method.

        Raises:
            TypeError, ValueError: if there is no such parameter, or an argument does not fit; the module is as before then.
        """
        owner = f"prune.{cls.__name__}"
        method = cls(*args, **kwargs)
        pruned = _is_pruned(module, name)
        if not pruned and (not isinstance(module, Module) or not isinstance(vars(module).get(name), Parameter)):
            has = [found for found, _ in module._own("parameter")] if isinstance(module, Module) else []
            raise ValueError(
                f"{owner}: a {type(module).__name__} has no parameter {name!r} of its own; it has {', '.join(has) or 'none'}"
            )
        with no_grad():
            value = getattr(module, name).detach().numpy()
        scores = value if importance_scores is None else np.asarray(importance_scores)
        if scores.shape != value.shape:
            raise ValueError(f"{owner}: `importance_scores` has shape {scores.shape}; it must be {value.shape}")
        before = getattr(module, f"{name}_mask").numpy() if pruned else np.ones_like(value)
        mask = Tensor(_combined(method, scores, before).astype(value.dtype))
        if not pruned:
            original = getattr(module, name)
            module._may_register("parameter", f"{name}_orig", original, new=True)
            module._may_register("buffer", f"{name}_mask", mask, new=True)
            delattr(module, name)
            module.register_parameter(f"{name}_orig", original)
            module._own_dict("_computed")[name] = _Pruned(name)
        module.register_buffer(f"{name}_mask", mask)
        return method


def _is_pruned(module: Any, name: str) -> bool:
    return isinstance(module, Module) and isinstance(module._computed.get(name), _Pruned)


def _combined(method: BasePruningMethod, scores: NDArray[Any], before: Mask) -> Mask:
    """The mask after another pruning."""
    place: Any = ...
    if method.PRUNING_TYPE == "unstructured":
        place = before == 1
        if place.all():
            place = ...
    elif method.PRUNING_TYPE == "structured":
        dim = checked("prune", {"dim": whole(-scores.ndim, scores.ndim)}, {"dim": method.dim})["dim"] % scores.ndim  # type: ignore[attr-defined]
        left = before.any(axis=tuple(axis for axis in range(scores.ndim) if axis != dim))
        place = (slice(None),) * dim + (left,)
    mask = before.copy()
    mask[place] = np.asarray(method.compute_mask(scores[place], before[place].copy()))
    return mask


class Identity(BasePruningMethod):
    """Prunes nothing: there is a mask of ones."""

    def compute_mask(self, t: NDArray[Any], default_mask: Mask) -> Mask:
        """The same mask."""
        return default_mask


_SHARE = number("a number of elements, or a share of them in [0, 1]", lambda x: x >= 0)


class _Amount(BasePruningMethod):
    def __init__(self, amount: float) -> None:
        owner = f"prune.{type(self).__name__}"
        self.amount = amount
        value = checked(owner, {"amount": _SHARE}, {"amount": amount})["amount"]
        if isinstance(value, float) and not isinstance(amount, int | np.integer) and value > 1:
            raise ValueError(
                f"{owner}: `amount` is {amount}; it must be a number of elements, or a share of them in [0, 1]"
            )

    def _count(self, size: int) -> int:
        """How many of `size` are pruned."""
        if not isinstance(self.amount, int | np.integer):
            return round(self.amount * size)
        if self.amount > size:
            raise ValueError(f"prune.{type(self).__name__}: `amount` is {self.amount}; there are {size} left")
        return int(self.amount)


class RandomUnstructured(_Amount):
    """Prunes elements at random; the numbers are the library's, see ``tg.manual_seed``."""

    def compute_mask(self, t: NDArray[Any], default_mask: Mask) -> Mask:
        """Zeros at random."""
        return _without(default_mask, rand(t.size).numpy(), self._count(t.size))


class L1Unstructured(_Amount):
    """Prunes the elements of the smallest absolute values."""

    def compute_mask(self, t: NDArray[Any], default_mask: Mask) -> Mask:
        """Zeros at the smallest."""
        return _without(default_mask, np.abs(t).ravel(), self._count(t.size))


def _without(mask: Mask, scores: NDArray[Any], count: int) -> Mask:
    """A mask that is 0 at the smallest scores; of equal ones, at the first."""
    new = mask.ravel().copy()
    new[np.argsort(scores, kind="stable")[:count]] = 0
    return new.reshape(mask.shape)


class _OfSlices(_Amount):
    PRUNING_TYPE = "structured"
    dim: int

    def _scores(self, t: NDArray[Any], dim: int) -> NDArray[Any]:
        """The score of each slice along `dim`; each class defines it."""
        raise NotImplementedError(f"prune.{type(self).__name__}: define `_scores(t, dim)`, the score of each slice")

    def compute_mask(self, t: NDArray[Any], default_mask: Mask) -> Mask:
        """Zeros in the slices of the lowest scores."""
        if t.ndim < 2:
            raise ValueError(f"prune.{type(self).__name__}: the tensor has shape {t.shape}; it needs at least two axes")
        dim = self.dim % t.ndim
        mask = np.moveaxis(default_mask.copy(), dim, 0)
        mask[np.argsort(self._scores(t, dim), kind="stable")[: self._count(t.shape[dim])]] = 0
        return np.moveaxis(mask, 0, dim)


class RandomStructured(_OfSlices):
    """Prunes slices along an axis at random."""

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t: NDArray[Any], dim: int) -> NDArray[Any]:
        return rand(t.shape[dim]).numpy()


class LnStructured(_OfSlices):
    """Prunes the slices along an axis with the smallest n-norm."""

    def __init__(self, amount: float, n: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.n: float = checked("prune.LnStructured", {"n": _NORM}, {"n": n})["n"]
        self.dim = dim

    def _scores(self, t: NDArray[Any], dim: int) -> NDArray[Any]:
        slices = np.moveaxis(t, dim, 0).reshape(t.shape[dim], -1)
        return np.asarray(np.linalg.norm(slices.astype(np.float64), self.n, axis=1))


_NORM = number("the order of a norm, a number or math.inf", lambda x: x == x)


class CustomFromMask(BasePruningMethod):
    """Prunes where a mask is 0."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = np.asarray(mask)
        if not np.isin(self.mask, (0, 1)).all():
            raise ValueError(f"prune.CustomFromMask: `mask` is {mask!r:.60}; it must have zeros and ones only")

    def compute_mask(self, t: NDArray[Any], default_mask: Mask) -> Mask:
        """Both masks."""
        if self.mask.shape != default_mask.shape:
            raise ValueError(
                f"prune.CustomFromMask: `mask` has shape {self.mask.shape}; it must be {default_mask.shape}"
            )
        return np.asarray(default_mask * self.mask.astype(default_mask.dtype))


def identity(module: M, name: str) -> M:
    """Give a parameter a mask of ones, as if it were pruned; return the module."""
    Identity.apply(module, name)
    return module


def l1_unstructured(module: M, name: str, amount: float, importance_scores: Any = None) -> M:
    """Prune the elements of a parameter that have the smallest absolute values: ``module.weight`` is 0 there.

    ``module.weight_orig`` is the parameter, and ``module.weight_mask`` a buffer of zeros and ones. Pruned again, it loses some
    of the elements that are left.

    Args:
        module: a module; it is returned.
        name: of its parameter.
        amount: a share of the elements, a float from 0 to 1, or a number of them, an integer.
        importance_scores: an array of the same shape whose absolute values decide instead.

    Raises:
        TypeError, ValueError: if there is no such parameter, or an argument does not fit; the module is as before then.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> layer = tg.nn.Linear(4, 1, bias=False)
    >>> layer.load_state_dict({"weight": np.array([[0.5, -0.1, 2.0, 0.2]], np.float32)})
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    >>> tg.nn.utils.prune.l1_unstructured(layer, "weight", amount=0.5).weight.tolist()
    [[0.5, -0.0, 2.0, 0.0]]
    >>> sorted(layer.state_dict())
    ['weight_mask', 'weight_orig']
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_unstructured(module: M, name: str, amount: float) -> M:
    """Prune elements of a parameter at random. Arguments and errors are those of :func:`l1_unstructured`."""
    RandomUnstructured.apply(module, name, amount)
    return module


def ln_structured(module: M, name: str, amount: float, n: float, dim: int, importance_scores: Any = None) -> M:
    """Prune the slices of a parameter, such as the filters of a convolution, that have the smallest n-norm.

    Args:
        module: a module; it is returned.
        name: of its parameter.
        amount: a share of the slices, a float from 0 to 1, or a number of them, an integer.
        n: the order of the norm, such as 2 or math.inf.
        dim: the axis along which the slices are: 0 for filters.
        importance_scores: an array of the same shape whose norms decide instead.

    Raises:
        TypeError, ValueError: as :func:`l1_unstructured`.

    >>> import tinygrad_cnn as tg
    >>> conv = tg.nn.utils.prune.ln_structured(tg.nn.Conv2d(3, 8, 3), "weight", amount=0.25, n=2, dim=0)
    >>> int((abs(conv.weight).sum(axis=(1, 2, 3)) == 0).sum().item())
    2
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def random_structured(module: M, name: str, amount: float, dim: int) -> M:
    """Prune slices of a parameter at random. Arguments and errors are those of :func:`ln_structured`."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def custom_from_mask(module: M, name: str, mask: Any) -> M:
    """Prune a parameter where `mask`, an array of its shape, is 0. Other arguments and errors: :func:`l1_unstructured`."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: Mapping[tuple[Module, str], Any] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters as if they were one, so that a layer may lose more than another.

    Args:
        parameters: pairs of a module and the name of its parameter.
        pruning_method: :class:`L1Unstructured`, :class:`RandomUnstructured` or another class of the type "unstructured".
        importance_scores: arrays, by pairs, that decide in the place of the parameters.
        kwargs: arguments of the class, such as ``amount=0.2``.

    Raises:
        TypeError, ValueError: as :func:`l1_unstructured`, and for a method of another type; nothing is pruned then.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.nn.utils import prune
    >>> model = tg.nn.Sequential(tg.nn.Linear(10, 10), tg.nn.Linear(10, 10))
    >>> prune.global_unstructured([(layer, "weight") for layer in model], prune.L1Unstructured, amount=0.3)
    >>> sum(int((layer.weight_mask == 0).sum().item()) for layer in model)
    60
    """
    pairs, scores = list(parameters), dict(importance_scores or {})
    if pruning_method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f"global_unstructured: `pruning_method` is {pruning_method.__name__}, of the type "
            f"{pruning_method.PRUNING_TYPE!r}; it must be 'unstructured'"
        )
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(getattr(*pair, None), Tensor):
            raise ValueError(
                f"global_unstructured: `parameters` has {pair!r:.60}; give pairs such as (layer, 'weight')"
            )
    with no_grad():
        values = [getattr(module, name).numpy() for module, name in pairs]
    wanted = [np.asarray(scores.get(tuple(pair), value)) for pair, value in zip(pairs, values, strict=True)]
    if any(score.shape != value.shape for score, value in zip(wanted, values, strict=True)):
        raise ValueError("global_unstructured: `importance_scores` must have the shapes of the parameters")
    masks = [
        getattr(module, f"{name}_mask").numpy() if _is_pruned(module, name) else np.ones_like(value)
        for (module, name), value in zip(pairs, values, strict=True)
    ]
    whole = [np.concatenate([part.ravel() for part in parts]) for parts in (wanted, masks)]
    mask, start = _combined(pruning_method(**kwargs), *whole), 0
    for (module, name), value in zip(pairs, values, strict=True):
        custom_from_mask(module, name, mask[start : start + value.size].reshape(value.shape))
        start += value.size


def remove(module: M, name: str) -> M:
    """Make a pruned parameter a plain one again, with zeros where it was pruned; return the module.

    ``module.weight`` is the parameter that ``weight_orig`` was, and there is no mask.

    Raises:
        ValueError: if it is not pruned.
    """
    if not _is_pruned(module, name):
        raise ValueError(f"prune.remove: {name!r} of a {type(module).__name__} is not pruned")
    with no_grad():
        value = getattr(module, name).detach()
    original = getattr(module, f"{name}_orig")
    original.copy_(value)
    del module._own_dict("_computed")[name]
    delattr(module, f"{name}_orig")
    delattr(module, f"{name}_mask")
    module.register_parameter(name, original)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned."""
    return any(isinstance(how, _Pruned) for each in module.modules() for how in each._computed.values())


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
