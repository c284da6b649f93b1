"""The Module: a function of Tensors that owns its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from textwrap import indent
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core import tracing
from ..tensor import Tensor
from .handle import Handle
from .parameter import Parameter
from .state import IncompatibleKeys, prepare
from .summary import Summary, summarize

__all__ = ["Module"]

Kind: TypeAlias = Literal["parameter", "buffer", "module"]


def _no_forward(self: Module, *_: Any, **__: Any) -> Any:
    raise TypeError(
        f"{type(self).__name__}: there is nothing to call; define `forward` in the class, or call what it contains"
    )


class Module:
    """The base of layers and models: define ``forward``, and call the module itself.

    ``forward`` is given what the call is given. Arrays that it returns, alone or in a tuple, become Tensors.

    A :class:`Parameter` or Module that is assigned to an attribute is registered under its name: :meth:`parameters` and
    :meth:`state_dict` find it, :meth:`train`, :meth:`eval` and :meth:`apply` reach it. A Tensor that belongs to the state
    without being learned is a buffer, see :meth:`register_buffer`.

    Registration works from the first line of ``__init__``; calling ``super().__init__()`` before it is not needed.

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

    # Registered values are ordinary attributes. Which of them are registered, and as what, is kept beside them, in order.
    # A module has these books from the first time that something is written in them, so no constructor need make them.
    _kinds: Mapping[str, Kind] = MappingProxyType({})
    _unsaved: frozenset[str] = frozenset()
    _pre_hooks: Mapping[object, Callable[..., Any]] = MappingProxyType({})
    _hooks: Mapping[object, Callable[..., Any]] = MappingProxyType({})
    _training = True
    _types: ClassVar[dict[Kind, type]] = {}
    _is_module: ClassVar[bool] = True  # for a captured run, which stands below and does not know this class

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if tracing.watchers:
            tracing.tracer().read(self, "attributes")
        for pre_hook in list(self._pre_hooks.values()):
            changed = pre_hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = _in_tensors(self.forward(*args, **kwargs))
        for hook in list(self._hooks.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    # Registration

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._register("parameter", name, value)
        elif isinstance(value, Module):
            self._register("module", name, value)
        elif (kind := self._kinds.get(name)) is not None:
            self._register(kind, name, value)
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._book("_kinds").pop(name, None)
        vars(self)["_unsaved"] = self._unsaved - {name}

    def _book(self, name: str) -> dict[Any, Any]:
        book: dict[Any, Any] = vars(self).setdefault(name, {})
        return book

    def _register(self, kind: Kind, name: str, value: Any) -> None:
        owner = type(self).__name__
        if value is not None and not isinstance(value, self._types[kind]):
            raise TypeError(
                f"{owner}: `{name}` is a {kind}, which cannot be set to a {type(value).__name__}; assign a "
                f"{self._types[kind].__name__} or None, or `del` it first"
            )
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{owner}: {name!r} cannot name a {kind}; give a word without dots")
        if hasattr(Module, name):
            raise ValueError(f"{owner}: `{name}` is an attribute of every module; give the {kind} another name")
        object.__setattr__(self, name, value)
        if self._kinds.get(name) != kind:
            self._forget(name)
            self._book("_kinds")[name] = kind

    def _register_new(self, kind: Kind, name: str, value: Any) -> None:
        if isinstance(name, str) and hasattr(self, name) and self._kinds.get(name) != kind:
            raise ValueError(
                f"{type(self).__name__}: there is an attribute `{name}` already; give the {kind} another name"
            )
        self._register(kind, name, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter, as assigning it does; or None, for one that this module does without.

        Raises:
            TypeError: if `param` is not a Parameter.
            ValueError: if the name is taken, empty or has a dot.
        """
        self._register_new("parameter", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a Tensor that belongs to the state but is not learned, such as the running mean of BatchNorm2d.

        Args:
            name: the attribute.
            tensor: its value; or None, for one that this module does without.
            persistent: whether it is a part of :meth:`state_dict`.

        Raises:
            TypeError: if `tensor` is not a Tensor.
            ValueError: if the name is taken, empty or has a dot.
        """
        self._register_new("buffer", name, tensor)
        vars(self)["_unsaved"] = self._unsaved - {name} if persistent else self._unsaved | {name}

    def register_module(self, name: str, module: Module | None) -> None:
        """Register a child, as assigning it does.

        Raises:
            TypeError: if `module` is not a Module.
            ValueError: if the name is taken, empty or has a dot.
        """
        self._register_new("module", name, module)

    add_module = register_module

    # Walks

    def _own(self, kind: Kind) -> Iterator[tuple[str, Any]]:
        for name, registered in list(self._kinds.items()):
            if registered == kind and (value := vars(self)[name]) is not None:
                yield name, value

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, by their names, each once."""
        seen: set[int] = set()
        for name, child in self._own("module"):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly below, each once."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all below it, with their paths: "" for itself, then "features", "features.0" and so on."""
        return self._walk(prefix, set() if remove_duplicate else None)

    def _walk(self, path: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        if tracing.watchers:
            tracing.tracer().read(self, "attributes")
        yield path, self
        for name, child in self._own("module"):
            yield from child._walk(_joined(path, name), seen)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named(self, kind: Kind, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, value in module._own(kind):
                if id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield _joined(path, name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their paths, "features.0.weight". One with several names comes once, unless all are wanted."""
        return self._named("parameter", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and, with `recurse`, of all below it, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their paths."""
        return self._named("buffer", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module and, with `recurse`, of all below it, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "features.0"; this one for "".

        Raises:
            AttributeError: if there is none.
        """
        module = self
        for name in target.split(".") if target else ():
            if module._kinds.get(name) != "module":
                raise AttributeError(
                    f"get_submodule: {target!r} leads to no module: {type(module).__name__} has no {name!r}"
                )
            module = vars(module)[name]
        return module

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn(module)`` for every module below and then for this one; returns this module.

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
        """Whether layers such as Dropout and BatchNorm2d behave as in training. Set by :meth:`train` and :meth:`eval`."""
        if tracing.watchers:
            tracing.tracer().read(self, "attributes")
        return self._training

    @training.setter
    def training(self, mode: bool) -> None:
        if mode:
            vars(self).pop("_training", None)  # as it is in a new module, so that a captured run finds no difference
        else:
            vars(self)["_training"] = False

    def train(self, mode: bool = True) -> Self:
        """Set :attr:`training` of this module and all below it; returns this module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all parameters with False, or thaw them; returns this module."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradient of every parameter."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # State

    def _stateful(self, prefix: str = "") -> dict[str, Tensor]:
        """The Tensors of the state by their paths, those with several names under each of them."""
        return {
            _joined(path, name): value
            for path, module in self.named_modules(prefix, remove_duplicate=False)
            for kind in ("parameter", "buffer")
            for name, value in module._own(kind)
            if name not in module._unsaved
        }

    def state_dict(self, prefix: str = "") -> dict[str, NDArray[Any]]:
        """Copies of all parameters and persistent buffers, as arrays, by the names that PyTorch gives them.

        ``torch_model.load_state_dict({k: torch.from_numpy(v) for k, v in model.state_dict().items()})`` takes them over.
        """
        return {name: tensor.numpy().copy() for name, tensor in self._stateful(prefix).items()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, finite: bool = False
    ) -> IncompatibleKeys:
        """Write a state into the parameters and buffers, in place: all of it or nothing.

        Args:
            state_dict: arrays by name, from :meth:`state_dict`; or Tensors, or PyTorch's ``state_dict()`` as it is.
            strict: refuse missing and unexpected names; else they are only returned.
            finite: refuse NaN and infinity.

        Returns:
            The names that were missing and those that were unexpected: ``missing_keys`` and ``unexpected_keys``.

        Raises:
            ValueError: that lists every missing, unexpected, misshaped, wrongly typed or non-finite entry. Nothing has
                changed.
        """
        return self._prepare_load(state_dict, strict, finite)()

    def _prepare_load(
        self, state_dict: Any, strict: bool = True, finite: bool = False
    ) -> Callable[[], IncompatibleKeys]:
        return prepare(self._stateful(), state_dict, type(self).__name__, strict, finite)

    def __getstate__(self) -> dict[str, Any]:
        """A copy registers on its own from here on."""
        books: dict[str, Any] = {
            name: dict(vars(self)[name]) for name in ("_kinds", "_pre_hooks", "_hooks") if name in vars(self)
        }
        return {**vars(self), **books}

    # Hooks

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> Handle:
        """Call ``hook(module, args)`` before every forward. What it returns, unless None, replaces the positional arguments.

        Returns:
            A handle: ``handle.remove()`` takes the hook off, as leaving ``with handle:`` does.
        """
        return Handle(self._book("_pre_hooks"), hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> Handle:
        """Call ``hook(module, args, output)`` after every forward. What it returns, unless None, replaces the output.

        Returns:
            A handle: ``handle.remove()`` takes the hook off, as leaving ``with handle:`` does.
        """
        return Handle(self._book("_hooks"), hook)

    # Text

    def summary(self, input_shape: Any, *more: Any, dtype: DTypeLike | None = None) -> Summary:
        """Print what the model consists of: its modules as they are called, outputs, parameters and multiply-adds.

        The model is called once, in evaluation and without gradients, and is afterwards as it was.

        Args:
            input_shape: the shape of the input, with the batch: (1, 3, 32, 32); or an array, as an example of it.
            more: the same of further inputs.
            dtype: of the inputs that are given as shapes; the default dtype unless given.

        Returns:
            What was printed, as a :class:`~tinygrad_cnn.nn.summary.Summary`, with numbers to compute with.

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
        return result

    def extra_repr(self) -> str:
        """What stands between the parentheses of ``repr``; for layers to override."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): {child!r}" for name, child in self._rows()]
        if not lines:
            return f"{type(self).__name__}({extra})"
        return (
            f"{type(self).__name__}(\n" + "".join(indent(line, "  ") + "\n" for line in [extra, *lines] if line) + ")"
        )

    def _rows(self) -> Iterator[tuple[str, Any]]:
        """The children as they are listed in ``repr``."""
        return ((name, vars(self)[name]) for name, kind in self._kinds.items() if kind == "module")


Module._types.update({"parameter": Parameter, "buffer": Tensor, "module": Module})


def _in_tensors(output: Any) -> Any:
    """Tensors for the arrays that `forward` made of arrays: whoever is given the output may go on as with Tensors."""
    if isinstance(output, np.ndarray | np.generic) and output.dtype.kind in "biufc":
        return Tensor._of(np.asarray(output))
    return tuple(map(_in_tensors, output)) if type(output) is tuple else output


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
