"""The Module: a function of Tensors that owns its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from textwrap import indent
from types import MappingProxyType
from typing import Any, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..checks import checked, flag, only_to_none
from ..ops import replaced
from ..ops.data import plain
from ..scope import Scoped
from ..tensor import Tensor
from .backward_hooks import HOOK, PRE_HOOK, Watch
from .handle import Handle
from .lost import OWN, warn_of_lost
from .parameter import Parameter
from .state import IncompatibleKeys, prepare
from .summary import Summary, summarize

__all__ = ["Module"]

Kind: TypeAlias = Literal["parameter", "buffer", "transient buffer", "module"]


def _no_forward(self: Module, *_: Any, **__: Any) -> Any:
    raise TypeError(f"{type(self).__name__}: there is nothing to call; define `forward`, or call the modules in it")


answering: Scoped[Callable[[Any, Any], Any] | None] = Scoped("answering", None)
"""What may answer the call of a module with one input in its place, or returns NotImplemented: while a frozen model runs, a
function that knows prepared layers."""


class Computed(Protocol):
    """How an attribute of a module is computed from others. It is called with the module."""

    def __call__(self, module: Any) -> Any:
        """The value."""

    def assign(self, module: Any, value: Any) -> None:
        """What ``module.name = value`` does."""


class Module:
    """The base of layers and models: define ``forward``, and call the module itself.

    A call passes its arguments to ``forward``. Arrays that ``forward`` returns, alone or in a tuple, become Tensors.

    A :class:`Parameter` or a Module that is assigned to an attribute is registered under its name, for :meth:`parameters`,
    :meth:`state_dict`, :meth:`train` and so on. Register a Tensor that belongs to the state but is not learned with
    :meth:`register_buffer`. Calling ``super().__init__()`` first is not necessary.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn import nn
    >>> class Classifier(nn.Module):
    ...     def __init__(self, features, classes):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(features, 32)
    ...         self.scores = nn.Linear(32, classes)
    ...     def forward(self, x):
    ...         return self.scores(self.hidden(x).relu())
    >>> model = Classifier(64, 10)
    >>> model(tg.zeros(5, 64)).shape
    (5, 10)
    >>> [name for name, _ in model.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'scores.weight', 'scores.bias']
    """

    forward: Callable[..., Any] = _no_forward

    # Registered values are ordinary attributes; `_kinds` has their names, in order, and kinds. A module gets its own `_kinds`
    # and hooks when the first one is added, so that it works without a call of ``super().__init__()``.
    _kinds: Mapping[str, Kind] = MappingProxyType({})
    _computed: Mapping[str, Computed] = MappingProxyType({})
    """Attributes that are computed whenever they are read, such as a weight that is parametrized."""
    _pre_hooks: Mapping[object, Callable[..., Any]] = MappingProxyType({})
    _hooks: Mapping[object, Callable[..., Any]] = MappingProxyType({})
    _backward_hooks: Mapping[object, Callable[..., Any]] = MappingProxyType({})
    _backward_pre_hooks: Mapping[object, Callable[..., Any]] = MappingProxyType({})
    _training = True

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if (answer := answering.get()) is not None and len(args) == 1 and not kwargs:
            output = answer(self, args[0])
            if output is not NotImplemented:
                return output
        if self._pre_hooks or self._hooks or self._backward_hooks or self._backward_pre_hooks:
            return self._hooked(args, kwargs)
        if kwargs:
            kwargs = self._keywords(kwargs)
        output = self.forward(*args, **kwargs)
        return output if output.__class__ is Tensor else self._returned(output)

    def _hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call with hooks."""
        for pre_hook in list(self._pre_hooks.values()):
            changed = pre_hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        if kwargs:
            kwargs = self._keywords(kwargs)
        watch = None
        if self._backward_hooks or self._backward_pre_hooks:
            watch = Watch(self, [*self._backward_hooks.values()], [*self._backward_pre_hooks.values()])
            args = watch.around_arguments(args)
        output = self._returned(self.forward(*args, **kwargs))
        for hook in list(self._hooks.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output if watch is None else watch.around_output(output)

    @staticmethod
    def _returned(output: Any) -> Any:
        """The output with arrays as Tensors, so that a caller can use Tensor methods whatever the inputs were."""
        if isinstance(output, np.ndarray | np.generic) and output.dtype.kind in "biufc":
            return Tensor._of(np.asarray(plain(output)))
        return tuple(map(Module._returned, output)) if type(output) is tuple else output

    def _keywords(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The keywords of a call by the names that ``forward`` has: a seam for those of other libraries."""
        return kwargs

    # Registration

    def __getattr__(self, name: str) -> Any:
        """A computed attribute; Python asks for one that it has not found."""
        computed = object.__getattribute__(self, "_computed").get(name)
        return object.__getattribute__(self, name) if computed is None else computed(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._computed:
            self._computed[name].assign(self, value)
            return
        kind = self._kinds.get(name)
        if isinstance(value, Parameter):
            kind = "parameter"
        elif isinstance(value, Module):
            kind = "module"
        if kind is None:
            object.__setattr__(self, name, value)
        else:
            self._register(kind, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._own_dict("_kinds").pop(name, None)

    def _own_dict(self, name: str) -> dict[Any, Any]:
        own: dict[Any, Any] = vars(self).setdefault(name, {})
        return own

    def _may_register(self, kind: Kind, name: str, value: Any, new: bool = False) -> None:
        """TypeError or ValueError where :meth:`_register` raises it."""
        owner, wanted = type(self).__name__, TYPES[kind]
        if value is not None and not isinstance(value, wanted):
            raise TypeError(
                f"{owner}: `{name}` is a {kind}, which cannot be set to a {type(value).__name__}; assign a "
                f"{wanted.__name__} or None, or `del` it first"
            )
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{owner}: {name!r} cannot name a {kind}; give a word without dots")
        if new and hasattr(self, name) and TYPES.get(self._kinds.get(name, "")) is not wanted:
            raise ValueError(f"{owner}: there is an attribute `{name}` already; give the {kind} another name")
        if hasattr(Module, name):
            raise ValueError(f"{owner}: `{name}` is an attribute of every module; give the {kind} another name")

    def _register(self, kind: Kind, name: str, value: Any, new: bool = False) -> None:
        """Set an attribute and record its kind. If it is to be `new`, it must not replace an attribute of another type."""
        self._may_register(kind, name, value, new)
        is_same = TYPES.get(self._kinds.get(name, "")) is TYPES[kind]
        object.__setattr__(self, name, value)
        kinds = self._own_dict("_kinds")
        if not is_same:
            kinds.pop(name, None)  # so that it comes last
        kinds[name] = kind

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter, as assigning it does; None if this module has no such parameter.

        Errors are those of :meth:`register_buffer`.
        """
        self._register("parameter", name, param, new=True)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a Tensor that belongs to the state but is not learned, such as the running mean of BatchNorm2d.

        Args:
            name: the attribute.
            tensor: its value; None if this module has no such buffer.
            persistent: whether :meth:`state_dict` contains it.

        Raises:
            TypeError: if `tensor` is of another type.
            ValueError: if the name is taken, empty or has a dot.
        """
        self._register("buffer" if persistent else "transient buffer", name, tensor, new=True)

    def register_module(self, name: str, module: Module | None) -> None:
        """Register a child, as assigning it does. Errors are those of :meth:`register_buffer`."""
        self._register("module", name, module, new=True)

    add_module = register_module

    # Traversal

    def _own(self, *kinds: Kind) -> Iterator[tuple[str, Any]]:
        """The registered values of these kinds, by name."""
        for name, kind in list(self._kinds.items()):
            if kind in kinds and (value := vars(self)[name]) is not None:
                yield name, value

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The child modules with their names, each once."""
        return self._named("", False, True, "module")

    def children(self) -> Iterator[Module]:
        """The child modules, each once."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their paths: "" for itself, then "features", "features.0" and so on."""
        seen: set[int] = set()
        waiting = [(prefix, self)]
        while waiting:
            path, module = waiting.pop()
            if id(module) in seen:
                continue
            if remove_duplicate:
                seen.add(id(module))
            yield path, module
            waiting += [(_joined(path, name), child) for name, child in reversed([*module._own("module")])]

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named(self, prefix: str, recurse: bool, remove_duplicate: bool, *kinds: Kind) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, value in module._own(*kinds):
                if id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield _joined(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their paths, such as "features.0.weight"; a shared one once, if `remove_duplicate`."""
        return self._named(prefix, recurse, remove_duplicate, "parameter")

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and, if `recurse`, of all below it, each once.

        A warning, in the first call, names attributes that look like a part of the model and are none: a list of modules, and a
        Tensor that requires a gradient.
        """
        if recurse and "_looked_for_lost" not in vars(self):
            object.__setattr__(self, "_looked_for_lost", True)
            warn_of_lost(self, Module)
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their paths."""
        return self._named(prefix, recurse, remove_duplicate, "buffer", "transient buffer")

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and, if `recurse`, of all below it, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "features.0", or this one for ""; AttributeError if there is none."""
        module = self
        for name in target.split(".") if target else ():
            if module._kinds.get(name) != "module":
                owner = type(module).__name__
                raise AttributeError(f"get_submodule: {target!r} leads to no module: {owner} has no {name!r}")
            module = vars(module)[name]
        return module

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn(module)`` for every module below this one and then for this one; return this module.

        >>> from tinygrad_cnn import nn
        >>> def quiet(module):
        ...     if isinstance(module, nn.Linear):
        ...         nn.init.zeros_(module.bias)
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).apply(quiet)
        """
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # Modes

    @property
    def training(self) -> bool:
        """Whether layers such as Dropout and BatchNorm2d are in training mode: :meth:`train` and :meth:`eval` set it."""
        return self._training

    @training.setter
    def training(self, mode: bool) -> None:
        if mode:
            vars(self).pop("_training", None)
        else:
            vars(self)["_training"] = False

    def train(self, mode: bool = True) -> Self:
        """Set :attr:`training` of this module and all below it; return this module."""
        checked(f"{type(self).__name__}.train", {"mode": flag}, locals())
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all parameters if False, or unfreeze them; return this module."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, dtype: DTypeLike) -> Self:
        """Convert all floating-point parameters and buffers, and the gradients of parameters; return this module.

        Complex ones become complex numbers of this precision.

        A converted parameter is a new Tensor, so make the optimizer afterwards: the step of an earlier one raises.

        Args:
            dtype: floating point, such as ``np.float64``.

        Raises:
            TypeError: if `dtype` is not floating point, or is a device (everything runs on the CPU).

        >>> import numpy as np
        >>> from tinygrad_cnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to(np.float64)
        >>> sorted({str(value.dtype) for value in model.state_dict().values()})
        ['float64', 'int64']
        """
        try:
            wanted = np.dtype(dtype)
        except TypeError:
            wanted = None
        if wanted is None or wanted.kind != "f" or dtype is None:
            raise TypeError(
                f"{type(self).__name__}.to: `dtype` is {dtype!r:.60}; it must be a floating-point dtype such as np.float64, "
                "and there is one device, the processor"
            )
        converted: dict[int, Tensor] = {}
        for module in self.modules():
            for name, value in module._own("parameter", "buffer", "transient buffer"):
                kind = value.dtype.kind
                own = np.result_type(wanted, np.complex64) if kind == "c" else wanted
                if kind in "fc" and value.dtype != own:
                    if id(value) not in converted:
                        converted[id(value)] = _converted(value, own)
                    vars(module)[name] = converted[id(value)]
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradient of every parameter to None. ValueError for ``set_to_none=False``."""
        only_to_none(type(self).__name__, set_to_none)
        for _, parameter in self.named_parameters():
            parameter.zero_grad()

    # State

    def _stateful(self, prefix: str = "") -> dict[str, Tensor]:
        """The Tensors of the state by path, a shared one under each of its names."""
        return {
            _joined(path, name): value
            for path, module in self.named_modules(prefix, remove_duplicate=False)
            for name, value in (*module._own("parameter"), *module._own("buffer"))
        }

    def state_dict(self, prefix: str = "") -> dict[str, NDArray[Any]]:
        """Copies of all parameters and persistent buffers as arrays, under PyTorch's names.

        They share no memory with the module, so ``clone()``, ``detach()`` and ``cpu()``, which arrays lack, are not needed.

        PyTorch loads them: ``torch_model.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})``.
        """
        return {name: tensor.numpy().copy() for name, tensor in self._stateful(prefix).items()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, finite: bool = False
    ) -> IncompatibleKeys:
        """Write a state into the parameters and buffers, in place: all of it, or nothing if there is an error.

        Args:
            state_dict: arrays or Tensors by name, from :meth:`state_dict` or from PyTorch's.
            strict: raise for missing and unexpected names; else only return them.
            finite: raise for NaN and infinity.

        Returns:
            A named tuple of the missing and the unexpected names: ``missing_keys`` and ``unexpected_keys``.

        Raises:
            ValueError: with a list of all missing, unexpected, misshaped, wrongly typed and non-finite entries.
        """
        return self._prepare_load(state_dict, strict, finite)()

    def _prepare_load(self, state: Any, strict: bool = True, finite: bool = False) -> Callable[[], IncompatibleKeys]:
        return prepare(self._stateful(), state, type(self).__name__, strict, finite)

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, for a copy, which must not share the dicts of kinds and hooks."""
        return {name: dict(value) if name in OWN else value for name, value in vars(self).items()}

    # Hooks

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> Handle:
        """Call ``hook(module, args)`` before every forward. A result other than None replaces the positional arguments.

        ``remove()`` of the handle that is returned, or the end of ``with handle:``, removes the hook.
        """
        return Handle("register_forward_pre_hook", self._own_dict("_pre_hooks"), hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> Handle:
        """Call ``hook(module, args, output)`` after every forward. A result other than None replaces the output.

        It returns a handle as :meth:`register_forward_pre_hook` does.
        """
        return Handle("register_forward_hook", self._own_dict("_hooks"), hook)

    def register_full_backward_hook(self, hook: Callable[[Any, Any, Any], Any]) -> Handle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of a call's arguments are complete.

        `grad_input` is a tuple of the gradients of the positional arguments, and `grad_output` of those of the outputs; None
        stands for no gradient. A result other than None replaces `grad_input`. If no argument requires a gradient,
        the hook is called when `grad_output` is complete. ``forward`` must return a Tensor or a tuple. Compiled functions that
        call the module run as they are written.

        It returns a handle as :meth:`register_forward_pre_hook` does.

        >>> import tinygrad_cnn as tg
        >>> layer = tg.nn.ReLU()
        >>> handle = layer.register_full_backward_hook(lambda module, before, after: (before[0].clip(-1, 1),))
        >>> x = tg.Tensor([2.0, -3.0], requires_grad=True)
        >>> (layer(x) * 5).sum().backward()
        >>> x.grad.tolist()
        [1.0, 0.0]
        """
        return Handle(HOOK, self._own_dict("_backward_hooks"), hook)

    def register_full_backward_pre_hook(self, hook: Callable[[Any, Any], Any]) -> Handle:
        """Call ``hook(module, grad_output)`` when the gradients of a call's outputs are complete, before it passes them on.

        A result other than None replaces `grad_output`. It returns a handle as :meth:`register_forward_pre_hook` does.
        """
        return Handle(PRE_HOOK, self._own_dict("_backward_pre_hooks"), hook)

    # Text

    def summary(self, input_shape: Any, *more: Any, dtype: DTypeLike | None = None) -> Summary:
        """Print a table of the modules in the order of their calls, with outputs, parameters and multiply-adds.

        The model is called once, in evaluation mode and without gradients; its modes and state do not change.

        Args:
            input_shape: the shape of the input with its batch, such as (1, 3, 32, 32); or an example, an array.
            more: the same for further inputs.
            dtype: of the inputs that are given as shapes; the default dtype unless given.

        Returns:
            The table as a :class:`~tinygrad_cnn.nn.summary.Summary`.

        >>> from tinygrad_cnn import nn
        >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        >>> total = model.summary((1, 1, 8, 8))
        layer          output         parameters  multiply-adds
        -------------------------------------------------------
        Sequential     1 x 10
          0 (Conv2d)   1 x 8 x 6 x 6          80          2,592
          1 (ReLU)     1 x 8 x 6 x 6
          2 (Flatten)  1 x 288
          3 (Linear)   1 x 10              2,890          2,880
        -------------------------------------------------------
        parameters: 2,970 (0.01 MB with buffers)
        multiply-adds: 5,472
        """
        result = summarize(self, (input_shape, *more), dtype)
        print(result)
        result._printed = True
        return result

    def extra_repr(self) -> str:
        """The text between the parentheses of ``repr``; override it to show arguments."""
        return ""

    def __repr__(self) -> str:
        extra, rows = self.extra_repr(), [f"({name}): {text}" for name, text in self._rows()]
        inside = "".join(indent(line, "  ") + "\n" for line in [extra, *rows] if line)
        return f"{type(self).__name__}(\n{inside})" if rows else f"{type(self).__name__}({extra})"

    def _rows(self) -> Iterator[tuple[str, str]]:
        """The names and texts of the children in ``repr``."""
        return ((name, repr(vars(self)[name])) for name, kind in self._kinds.items() if kind == "module")


TYPES: dict[str, type] = {"parameter": Parameter, "buffer": Tensor, "transient buffer": Tensor, "module": Module}


def _converted(tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
    if not isinstance(tensor, Parameter):
        return tensor.detach().astype(dtype)
    new = type(tensor)(tensor.detach(), requires_grad=tensor.requires_grad, dtype=dtype)
    new.grad = None if tensor.grad is None else tensor.grad.detach().astype(dtype)
    replaced.freeze(tensor)
    return new


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
