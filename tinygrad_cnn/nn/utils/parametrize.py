"""Parametrizations: a parameter that is a function of others, such as a symmetric weight.

Names, arguments and the names of the state are those of ``torch.nn.utils.parametrize``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from ...checks import checked, flag
from ...core.grad_mode import is_grad_enabled, no_grad
from ...core.remedies import publish
from ...core.versions import tick, written_since
from ...scope import Block, Scoped
from ...tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = ["ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations"]

M = TypeVar("M", bound=Module)

_cache: Scoped[dict[Any, Any] | None] = Scoped("cache of parametrized values", None)


def cached() -> Block:
    """Within ``with cached():``, compute a parametrized value once, as long as what it is computed from does not change.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(tg.nn.Linear(2, 3))
    >>> with parametrize.cached():
    ...     layer.weight is layer.weight
    True
    """
    known = _cache.get()
    return _cache({} if known is None else known)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied in their order, and the tensors that they start from.

    These are ``original``, or ``original0``, ``original1`` and so on if ``right_inverse`` of the first parametrization returns
    several. :func:`register_parametrization` makes the list: ``module.parametrizations.weight``.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        self.unsafe = unsafe
        with no_grad():
            new: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with suppress(NotImplementedError):  # then it starts from the value, as without a right_inverse
                        new = module.right_inverse(new)
        self.is_tensor = isinstance(new, Tensor)
        names = ["original"] if self.is_tensor else [f"original{i}" for i in range(len(_several(new)))]
        values = [new] if self.is_tensor else list(new)
        for value in values:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"register_parametrization: `right_inverse` returned a {type(value).__name__}; {_INVERSE}"
                )
        self.ntensors = len(values)
        if self.is_tensor:
            _same_kind("`right_inverse` returned", new, original, shape=False)
            if new.shape == original.shape:
                if new is not original:
                    original.copy_(new.detach())
                values = [original]  # the same object, which an optimizer may have
        for name, value in zip(names, values, strict=True):
            if not isinstance(original, Parameter):
                self.register_buffer(name, value.detach())
            elif isinstance(value, Parameter):
                self.register_parameter(name, value)
            else:
                self.register_parameter(name, Parameter(value.detach(), requires_grad=original.requires_grad))

    def _originals(self) -> list[Tensor]:
        """The tensors that the first parametrization is given."""
        return [getattr(self, name) for name in self._original_names()]

    def _original_names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def forward(self) -> Any:
        """The parametrized value."""
        first, *others = self
        value = first(*self._originals())
        for module in others:
            value = module(value)
        return value

    def right_inverse(self, value: Any) -> None:
        """Write originals whose parametrized value is `value`.

        Raises:
            RuntimeError: if a parametrization has no ``right_inverse``.
            TypeError, ValueError: if what it returns does not fit the originals; they are as before then.
        """
        with no_grad():
            new: Any = value if isinstance(value, Tensor) else Tensor(value)
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"{type(module).__name__}: it has no `right_inverse`, so its value cannot be assigned; define it, or "
                        "write the originals, such as module.parametrizations.weight.original"
                    )
                new = module.right_inverse(new)
        values = [new] if self.is_tensor else list(_several(new))
        originals = self._originals()
        if len(values) != len(originals):
            raise ValueError(f"`right_inverse` returned {len(values)} Tensors; there are {len(originals)} originals")
        for found, original in zip(values, originals, strict=True):
            _same_kind("`right_inverse` returned", found, original)
        values = [found.numpy().copy() for found in values]
        for found, original in zip(values, originals, strict=True):
            original.copy_(found)

    def _inputs(self) -> list[Tensor]:
        """All Tensors that the value is computed from."""
        return [*self.parameters(), *self.buffers()]


_INVERSE = "it must return a Tensor or several in a tuple"


def _several(value: Any) -> Sequence[Any]:
    if not isinstance(value, tuple | list) or not value:
        raise TypeError(f"register_parametrization: `right_inverse` returned {value!r:.60}; {_INVERSE}")
    return value


def _same_kind(what: str, found: Any, wanted: Tensor, shape: bool = True) -> None:
    """ValueError unless it is a Tensor of the same dtype and shape."""
    if not isinstance(found, Tensor):
        raise TypeError(f"a parametrization: {what} a {type(found).__name__}; it must be a Tensor")
    if found.dtype != wanted.dtype or (shape and found.shape != wanted.shape):
        raise ValueError(
            f"a parametrization: {what} {found.dtype} of shape {found.shape}; it must be {wanted.dtype} of shape "
            f"{wanted.shape}, unless it is registered with unsafe=True"
        )


class _Parametrized:
    """A computed attribute, the value of ``module.parametrizations.<name>``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Any) -> Any:
        how: ParametrizationList = module.parametrizations[self.name]
        cache = _cache.get()
        if cache is None:
            return how()
        state = how._inputs()
        key = (is_grad_enabled(), *map(id, [how, *how, *state]), *[each.training for each in how.modules()])
        if key in cache:
            time, value, _ = cache[key]
            if not written_since(time, [tensor._array for tensor in state]):
                return value
        value = how()
        cache[key] = tick(), value, (how, state)  # which keep their identities
        return value

    def assign(self, module: Any, value: Any) -> None:
        """Write the originals."""
        module.parametrizations[self.name].right_inverse(value)


def register_parametrization(module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> M:
    """Make a parameter or buffer the value of a parametrization: ``module.weight`` is then f(original).

    ``module.parametrizations.weight`` is a list of the parametrizations, with the parameter as its ``original``, which is what
    is learned and saved. Further parametrizations of the same tensor are applied to the value of those before. If all of them
    have a ``right_inverse``, a value can be assigned: ``module.weight = value``. The value is computed at each use, see
    :func:`cached`.

    Args:
        module: the module that has the tensor; it is returned.
        tensor_name: the name of a parameter or buffer in it.
        parametrization: a Module whose ``forward`` takes the original and returns the value. If it has a method
            ``right_inverse``, the first original is made by it from the present value, unless it raises NotImplementedError.
            It may return several Tensors; then there are ``original0``, ``original1`` and so on, and ``forward`` takes them
            all. Make the optimizer after that.
        unsafe: whether the value may have another shape or dtype than the tensor.

    Raises:
        TypeError: if `module` or `parametrization` is no Module.
        ValueError: if there is no such tensor, or the value has another shape or dtype; the module is as before then.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.nn.utils import parametrize
    >>> class Symmetric(tg.nn.Module):
    ...     def forward(self, x):
    ...         return tg.triu(x) + tg.triu(x, 1).T
    >>> layer = parametrize.register_parametrization(tg.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all().item())
    True
    >>> sorted(layer.state_dict())
    ['bias', 'parametrizations.weight.original']
    """
    owner = "register_parametrization"
    checked(owner, {"unsafe": flag}, {"unsafe": unsafe})
    for label, value in (("module", module), ("parametrization", parametrization)):
        if not isinstance(value, Module):
            raise TypeError(f"{owner}: `{label}` is {value!r:.60}; it must be a Module")
    if is_parametrized(module, tensor_name):
        how = module.parametrizations[tensor_name]
        if not unsafe:
            with no_grad():
                before = getattr(module, tensor_name)
                _same_kind("its value is", parametrization(before), before)
        parametrization.train(module.training)
        how.append(parametrization)
        how.unsafe = how.unsafe or unsafe
        return module
    original = vars(module).get(tensor_name)
    if module._kinds.get(tensor_name) not in ("parameter", "buffer", "transient buffer") or original is None:
        raise ValueError(
            f"{owner}: the {type(module).__name__} has no parameter or buffer {tensor_name!r}; it has "
            f"{', '.join(name for name, _ in module._own('parameter', 'buffer', 'transient buffer')) or 'none'}"
        )
    kept = original.numpy().copy()
    parametrization.train(module.training)
    try:
        how = ParametrizationList([parametrization], original, unsafe)
        if not unsafe:
            with no_grad():
                _same_kind("its value is", how(), Tensor(kept))
    except BaseException:
        if original.numpy().tobytes() != kept.tobytes():
            original.copy_(kept)
        raise
    how.train(module.training)
    delattr(module, tensor_name)
    if "parametrizations" not in vars(module):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = how
    module._own_dict("_computed")[tensor_name] = _Parametrized(tensor_name)
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or any if `tensor_name` is None, is parametrized."""
    names = [name for name, how in module._computed.items() if isinstance(how, _Parametrized)]
    return bool(names) if tensor_name is None else tensor_name in names


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make a parametrized tensor a plain parameter or buffer again.

    Args:
        module: the module that has the tensor; it is returned.
        tensor_name: the name of the tensor.
        leave_parametrized: whether it keeps its present value; else it is the original.

    Raises:
        ValueError: if the tensor is not parametrized, or `leave_parametrized` is False and there are several originals.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.nn.utils import parametrizations, parametrize
    >>> layer = parametrizations.weight_norm(tg.nn.Linear(2, 3))
    >>> parametrize.remove_parametrizations(layer, "weight").weight.shape
    (3, 2)
    """
    owner = "remove_parametrizations"
    checked(owner, {"leave_parametrized": flag}, {"leave_parametrized": leave_parametrized})
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"{owner}: {tensor_name!r} of the {type(module).__name__} is not parametrized")
    how: ParametrizationList = module.parametrizations[tensor_name]
    originals = how._originals()
    original = originals[0]
    if not leave_parametrized and len(originals) > 1:
        raise ValueError(f"{owner}: {tensor_name!r} is a function of {len(originals)} Tensors; leave it parametrized")
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach()
        if how.is_tensor and (value.dtype, value.shape) == (original.dtype, original.shape):
            original.copy_(value)
        elif isinstance(original, Parameter):
            original = Parameter(value, requires_grad=any(each.requires_grad for each in originals))
        else:
            original = value
    del module._own_dict("_computed")[tensor_name]
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        del module.parametrizations
    if isinstance(original, Parameter):
        module.register_parameter(tensor_name, original)
    else:
        module.register_buffer(tensor_name, original)
    return module


def __dir__() -> list[str]:
    """Public names only."""
    return list(__all__)


publish(globals())
