"""The base of optimizers: parameter groups, state, and the step that applies an update rule to every parameter.

An optimizer is a table of its options, a table of the arrays it keeps for each parameter, and one rule, ``update``.
The rule is NumPy that writes in place. If it is elementwise, it is given a whole parameter or a piece of one.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, is_
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np

from ..checks import Check, Faults, Loadable, Options, accepted, examined, non_negative, only_to_none
from ..core import tracing
from ..core.grad_mode import enable_grad
from ..core.versions import marking
from ..frames import warn_user
from ..ops import replaced, updates
from ..scope import silent
from ..tensor import Tensor
from .hyperparameters import INITIAL_LR, Array, declared, several
from .state import STEP, Slot, pairs
from .state_dict import read

Params: TypeAlias = Iterable[Tensor] | Iterable[Options]
T = TypeVar("T")

_array_of_grad = attrgetter("_grad._array")


class _Step(NamedTuple):
    """A prepared step."""

    key: list[Any]
    """Objects that it depends on, and that must stay the same; among them are the types of the gradients."""
    tasks: list[tuple[Any, ...]]
    """For each parameter with a gradient its place among the gradients, its array, state and options, whether a slot is new,
    whether there are numbers to advance, a fused form of the update or None, and scratch, or None twice for an update in
    pieces, or of a complex parameter."""
    mark: Callable[[], None]
    """Marks the parameters with a gradient as written."""


class Optimizer(Loadable, ABC):
    """The base of optimizers.

    A subclass declares its options in ``options``, with a check for each, or by annotating the parameters of its constructor
    with checks. It declares its state for each parameter in ``slots``, and computes one step in :meth:`update`.

    A complex parameter x + i y is optimized as its real numbers x and y, as in PyTorch: :meth:`update` is given arrays
    (..., 2) of both. Their gradients df/dx and df/dy are the parts of the conjugate of the parameter's gradient
    df/dx - i df/dy, along which f rises.

    Args:
        params: leaf Tensors that require gradients, or dicts with such Tensors under "params" and their own options.
        defaults: the value of every option for groups that do not give their own. Most optimizers have "lr", the learning
            rate; "weight_decay", the factor of an L2 penalty: weight_decay |p|^2 / 2 is added to the loss; and "maximize":
            maximize instead of minimize.

    Attributes:
        param_groups: the groups, each a dict of "params" and every option. Options may be written between steps.
        state: for each parameter a dict of its slots.

    Raises:
        TypeError: if a parameter is not a Tensor, or is complex and the optimizer not elementwise, or an option has the wrong
            type.
        ValueError: if there is no parameter, one is given twice, is not a leaf, does not require a gradient or is
            read-only, or if an option is unknown or out of its range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn.checks import non_negative
    >>> class SignDescent(tg.optim.Optimizer):
    ...     options = {"lr": non_negative}
    ...     def update(self, p, g, state, group, new, t, u):
    ...         np.sign(g, out=t)
    ...         t *= group["lr"]
    ...         p -= t
    >>> x = tg.Tensor([3.0, -4.0], requires_grad=True)
    >>> optimizer = SignDescent([x], {"lr": 0.5})
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x.tolist()
    [2.5, -3.5]
    """

    options: ClassVar[Mapping[str, Check]] = {}
    slots: ClassVar[Mapping[str, Slot]] = {}
    elementwise: ClassVar[bool] = True
    """Whether :meth:`update` may be given pieces of a parameter."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "options" not in vars(cls):
            cls.options = declared(cls)

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self._name = type(self).__name__
        self.defaults = accepted(self._name, *self.examined(defaults))
        self.param_groups: list[Options] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._scratch: dict[np.dtype[Any], tuple[Array, Array]] = {}
        self._cache: _Step | None = None  # the last step, if it may be repeated
        if isinstance(params, Tensor | Mapping | str):
            raise TypeError(f"{self._name}: `params` is one {type(params).__name__}; put it in a list")
        entries = several(self._name, "params", params)
        if not entries:
            raise ValueError(f"{self._name}: `params` is empty; give at least one Tensor")
        groups: list[Any] = entries if isinstance(entries[0], Mapping) else [{"params": entries}]
        for group in groups:
            self.add_param_group(group)

    @abstractmethod
    def update(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool, t: Array, u: Array) -> None:
        """Write the next value of `p`, which is a parameter or a piece of one.

        Args:
            p: the values, to be written in place.
            g: the gradient, not to be written.
            state: the slots that the options need: arrays to be written in place, and numbers to be read.
            group: the options.
            new: whether a slot of this parameter was created in this step.
            t: scratch of the shape and dtype of p; its content is undefined.
            u: more scratch.
        """

    def advance(self, state: dict[str, Any], group: Options) -> None:
        """Update the numbers in a parameter's state, once before its pieces are updated: "step" counts from 1."""
        if STEP in state:
            state[STEP] += 1

    def conclude(self, state: dict[str, Any], group: Options) -> None:
        """Update the numbers in a parameter's state that the next step needs, once after its pieces are updated."""

    def slots_of(self, p: Tensor) -> Mapping[str, Slot]:
        """What is kept for this parameter: `slots`, if it is the same for each."""
        return self.slots

    def state_conflict(self, p: Tensor, state: dict[str, Any]) -> str | None:
        """What is wrong with a saved state whose slots are valid one by one, or None."""
        return None

    def conflict(self, options: Options, where: str) -> str | None:
        """What is wrong with options that are valid one by one, or None; `where` names the group in the message."""
        return None

    # Groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a dict of Tensors under "params" and their own options. Options that are not given have their defaults.

        Raises:
            TypeError, ValueError: as the constructor; the optimizer is unchanged then.
        """
        if not isinstance(param_group, Mapping):
            kind = type(param_group).__name__
            raise TypeError(f"{self._name}: a parameter group is a {kind}; it must be a dict with 'params'")
        number, where = len(self.param_groups), f" of group {len(self.param_groups)}"
        unknown = [repr(name) for name in param_group if name not in {"params", INITIAL_LR, *self.options}]
        if unknown or "params" not in param_group:
            raise ValueError(
                f"{self._name}: group {number} has {', '.join(unknown) if unknown else 'no params'}; it must have 'params' "
                f"and may have {', '.join(self.options)}"
            )
        params = self._parameters(param_group["params"], number)
        options = accepted(self._name, *self.examined({**self.defaults, **param_group}, where))
        self.param_groups.append({"params": params, **options})

    def _parameters(self, given: Any, number: int) -> list[Tensor]:
        if isinstance(given, set | frozenset | str):
            kind = type(given).__name__
            raise TypeError(
                f"{self._name}: 'params' of group {number} is a {kind}; it must be a list, which has an order"
            )
        params = [given] if isinstance(given, Tensor) else list(given)
        if not params:
            raise ValueError(f"{self._name}: group {number} has no parameters; give at least one Tensor")
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(params):
            which = f"{self._name}: parameter {i} of group {number}"
            if not isinstance(p, Tensor):
                raise TypeError(f"{which} is a {type(p).__name__}; it must be a Tensor")
            if p.dtype.kind == "c" and not self.elementwise:
                raise TypeError(
                    f"{which} is {p.dtype}; it must be real: this optimizer uses the shape of a parameter, and a complex one "
                    "is optimized as pairs of real numbers"
                )
            if not p.is_leaf:
                raise ValueError(f"{which} is not a leaf but the result of an op; optimize the Tensors it came from")
            if not p.requires_grad:
                raise ValueError(f"{which} does not require a gradient; set requires_grad = True or leave it out")
            if not p._array.flags.writeable:
                raise ValueError(f"{which} is read-only and cannot be updated; copy it with Tensor(...)")
            if id(p) in seen:
                raise ValueError(f"{which} was given before; a parameter is updated once per step, list it once")
            seen.add(id(p))
        return params

    def examined(
        self, group: Mapping[str, Any], where: str = "", others: Mapping[str, Check] | None = None
    ) -> tuple[Options, Faults]:
        """The checked options of a group, and the errors; `others` has the checks of further entries."""
        initial: dict[str, Check] = {INITIAL_LR: non_negative} if INITIAL_LR in group else {}
        options, faults = examined({**self.options, **initial, **(others or {})}, group, where)
        conflict = None if faults else self.conflict(options, where)
        return options, [ValueError(conflict)] if conflict else faults

    # Steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient of every parameter: ``grad`` becomes None. ValueError for ``set_to_none=False``."""
        only_to_none(self._name, set_to_none)
        for group in self.param_groups:
            for p in group["params"]:
                p._grad = None

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], T]) -> T: ...
    def step(self, closure: Callable[[], T] | None = None) -> T | None:
        """Update every parameter that has a gradient, in place.

        Nothing is recorded. A graph that saved a parameter's old values refuses to run backward afterwards.

        Args:
            closure: called before the update, with recording on, to compute the loss and its gradients.

        Returns:
            What `closure` returned.

        Raises:
            TypeError, ValueError: if an option has an invalid value, or a parameter has become read-only; nothing is
                updated then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        gradients: list[Array | None] = []
        for group in self.param_groups:
            try:
                gradients += [*map(_array_of_grad, group["params"])]
            except AttributeError:  # some have none
                gradients += [getattr(getattr(p, "_grad", None), "_array", None) for p in group["params"]]
        if tracing.watchers:
            tracing.tracer().effect(self._update, *gradients)
        else:
            self._update(*gradients)
        return loss

    def _update(self, *gradients: Any) -> None:
        """One step along these gradients, one for each parameter."""
        step = self._cache
        form = updates.fused.get(getattr(self.update, "__func__", None))
        key: list[Any] = [replaced.times, form, *map(type, gradients)]
        for group in self.param_groups:
            params = group["params"]
            key += group
            key += group.values()
            key += params
            if self.state:
                key += map(self.state.get, params)
        if step is None or len(key) != len(step.key) or not all(map(is_, key, step.key)):
            step = self._prepared(key, gradients, form)
        step.mark()
        self._update_each(step.tasks, gradients)

    @silent  # with np.errstate(all="raise") a step would stop halfway
    def _update_each(self, tasks: list[tuple[Any, ...]], gradients: Sequence[Array]) -> None:
        update = self.update
        for place, p, state, group, new, advances, fused, t, u in tasks:
            if advances:
                self.advance(state, group)
            if fused is not None and fused(gradients[place]):
                pass
            elif t is None:
                self._update_in_pieces(p, gradients[place], state, group, new)
            else:
                update(p, gradients[place], state, group, new, t, u)
            if advances:
                self.conclude(state, group)

    @silent
    def _prepared(self, key: list[Any], gradients: Sequence[Array | None], form: updates.Form | None) -> _Step:
        """A step, after all checks; it is cached if its key tells every change of the options and it creates no slots."""
        groups = [accepted(self._name, *self.examined(g, f" of group {n}")) for n, g in enumerate(self.param_groups)]
        members = [(n, i, p) for n, group in enumerate(self.param_groups) for i, p in enumerate(group["params"])]
        given = [(place, *member) for place, member in enumerate(members) if gradients[place] is not None]
        self._check_writable(members)
        if not given:
            warn_user(
                f"{self._name}.step: no parameter has a gradient, so nothing is updated; call backward() before it"
            )
        kind = type(self)
        overridden = kind.advance is not Optimizer.advance or kind.conclude is not Optimizer.conclude
        pairs = zip(self.param_groups, groups, strict=True)
        repeatable = all(group[name] is value for group, options in pairs for name, value in options.items())
        tasks = []
        for place, number, _, p in given:
            if missing := self._missing(p, groups[number]):
                self.state.setdefault(p, {}).update(missing)
                repeatable = False
            state, group, (t, u) = self.state.get(p, {}), groups[number], self._scratch_for(p._array)
            new, advances = bool(missing), overridden or STEP in state
            fused = form and form(p._array, state, group, new)
            tasks.append((place, p._array, state, group, new, advances, fused, t, u))
        step = _Step(key, tasks, marking(*(p._array for *_, p in given)))
        self._cache = step if repeatable else None
        return step

    def _check_writable(self, members: Sequence[tuple[int, int, Tensor]]) -> None:
        """ValueError if one of these parameters, with the numbers of its group and in the group, cannot be updated."""
        for number, i, p in members:
            if not p._array.flags.writeable:
                raise ValueError(
                    f"{self._name}: parameter {i} of group {number} has become read-only; if its module was converted with "
                    "`to`, make a new optimizer of the new parameters"
                )

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def _missing(self, p: Tensor, options: Options) -> dict[str, Any]:
        """The slots that these options need and the state does not have yet, with their first values."""
        kept = self.state.get(p, {})
        needed = {name: slot for name, slot in self.slots_of(p).items() if name not in kept and slot.is_needed(options)}
        return {name: slot.first(p._array, options) for name, slot in needed.items()}

    def _update_in_pieces(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool) -> None:
        arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
        if p.dtype.kind == "c":
            p, g, arrays = pairs(p), pairs(np.conj(g)), {name: pairs(value) for name, value in arrays.items()}

        def rule(p: Array, g: Array, *slots_t_u: Array) -> None:
            *slots, t, u = slots_t_u
            self.update(p, g, {**state, **dict(zip(arrays, slots, strict=True))}, group, new, t, u)

        updates.apply(rule, p, g, *arrays.values())

    def _scratch_for(self, data: Array) -> tuple[Array | None, Array | None]:
        """Two scratch arrays of the shape of a parameter that is updated whole, in memory that all of them share."""
        if self.elementwise and (data.size > updates.PIECE or data.dtype.kind == "c"):
            return None, None
        size = max(updates.PIECE, data.size)
        if data.dtype not in self._scratch or self._scratch[data.dtype][0].size < size:
            self._scratch[data.dtype] = np.empty(size, data.dtype), np.empty(size, data.dtype)
        t, u = (piece[: data.size].reshape(data.shape) for piece in self._scratch[data.dtype])
        return t, u

    # State

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": None}  # its key refers to these objects, not to their copies

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state and options, in PyTorch's layout. When it is loaded, parameters are matched by their order.

        Returns:
            {"state": {index: {slot: array or count}}, "param_groups": [{option: value, "params": [indices]}]}, where
            parameters are numbered through all groups. A parameter without state has no entry.
        """
        state, groups, index = {}, [], 0
        for group in self.param_groups:
            options = {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}
            groups.append({**options, "params": list(range(index, index + len(group["params"])))})
            for p in group["params"]:
                if p in self.state:  # an option written since the last step may need further slots
                    kept = {**self.state[p], **self._missing(p, options)}
                    state[index] = copy.deepcopy(kept)
                index += 1
        return {"state": state, "param_groups": groups}

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        groups, state = read(state_dict, self)

        def load() -> None:
            for group, loaded in zip(self.param_groups, groups, strict=True):
                group.update(loaded)
            self.state.clear()
            self.state.update(state)

        return load

    def __repr__(self) -> str:
        groups = [
            f"{len(g['params'])} tensors: {', '.join(f'{k}={v!r}' for k, v in g.items() if k != 'params')}"
            for g in self.param_groups
        ]
        return f"{self._name}({'; '.join(groups)})"
