"""What optimizers share: parameter groups, state, and the step that sweeps an update rule over every parameter.

An optimizer is a table of its options, a table of the arrays it keeps for each parameter, and one rule, ``update``.
The rule is plain NumPy in place: it may see a whole parameter or a piece of one, so it must be elementwise.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import is_
from typing import Any, ClassVar, TypeAlias, TypeVar, overload

import numpy as np

from ..core import tracing
from ..core.grad_mode import enable_grad
from ..core.versions import marking
from ..kernels.parallel.threads import each
from ..kernels.parallel.workspace import scratch
from ..tensor import Tensor
from .loading import read
from .options import INITIAL_LR, Array, Check, Options, examined, non_negative
from .routine import Entry, Routine
from .slots import STEP, Slot

Params: TypeAlias = Iterable[Tensor] | Iterable[Options]
Update: TypeAlias = "Callable[[Any, Array], object]"
T = TypeVar("T")

PIECE = 49152
"""Elements that a rule sees at once: small enough for its dozen passes to stay in the cache, large enough to make the
calls of NumPy few."""

LONG = 300_000
"""Elements, at most, that a rule sees at once where threads share the work: enough for its calls to run side by side, since a
thread that returns from a short one waits for the interpreter."""


class Optimizer(ABC):
    """The base of optimizers.

    A subclass states its options in ``options`` (a check for each), what it keeps for each parameter in ``slots``,
    and one step of its mathematics in :meth:`update`.

    Args:
        params: leaf Tensors that require gradients, or dicts with such Tensors under "params" and their own options.
        defaults: the value of every option for groups that do not give their own.

    Attributes:
        param_groups: the groups, each a dict of "params" and every option. Options may be written between steps.
        state: what is kept for each parameter, by slot.

    Raises:
        TypeError: if a parameter is not a Tensor, or an option has the wrong type.
        ValueError: if there is no parameter, one is given twice, is not a leaf, does not require a gradient or is
            read-only, or if an option is unknown or out of its range.

    >>> import numpy as np, tinygrad_cnn as tg
    >>> from tinygrad_cnn.optim.options import non_negative
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
    _is_of_the_package: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """The rules of this package keep no gradient, whose memory a compiled program may write over. Others may."""
        super().__init_subclass__(**kwargs)
        cls._is_of_the_package = cls.update.__module__.partition(".")[0] == __name__.partition(".")[0]

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self._name = type(self).__name__
        self.defaults = self._checked(defaults)
        self.param_groups: list[Options] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self._zeroed: dict[int, tuple[float, int]] = {}  # of groups with a rate that a schedule made 0: see Curve
        self._known: dict[int, tuple[Options, dict[str, Slot]]] = {}  # what groups were when they were last examined
        self._scratch: dict[np.dtype[Any], tuple[Array, Array]] = {}
        self._routine: Routine | None = None
        if isinstance(params, Tensor | Mapping | str):
            raise TypeError(f"{self._name}: `params` is one {type(params).__name__}; put it in a list")
        entries = list(params)
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
            state: the slots that the options call for: arrays to be written in place, and numbers to be read.
            group: the options.
            new: whether a slot of this parameter was made for this very step.
            t: scratch of the shape and dtype of p, with any content.
            u: more scratch.
        """

    def prepared(self, p: Array, state: dict[str, Any], group: Options, t: Array, u: Array) -> Update:
        """:meth:`update` with these arguments, and `new` False, again and again, as a function of the optimizer and g.

        It is asked for anew when the parameters, the state or the options are other ones. A subclass may spare it what depends
        on the options alone. It must not hold on to the optimizer, which holds it.
        """
        return lambda optimizer, g: optimizer.update(p, g, state, group, False, t, u)

    def advance(self, state: dict[str, Any], group: Options) -> None:
        """Move the numbers of a parameter's state on, once before its pieces are updated: "step" counts from 1."""
        if STEP in state:
            state[STEP] += 1

    def conflict(self, options: Options, where: str) -> str | None:
        """What is wrong between options that are right one by one, or None; `where` names the group in the message."""
        return None

    # Groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a dict of Tensors under "params" and their own options; the defaults stand in for the rest.

        Raises:
            TypeError, ValueError: as the constructor. The optimizer is then unchanged.
        """
        if not isinstance(param_group, Mapping):
            raise TypeError(
                f"{self._name}: a parameter group is a {type(param_group).__name__}; it must be a dict with 'params'"
            )
        number = len(self.param_groups)
        unknown = [repr(name) for name in param_group if name not in {"params", INITIAL_LR, *self.options}]
        if unknown or "params" not in param_group:
            raise ValueError(
                f"{self._name}: group {number} has {', '.join(unknown) if unknown else 'no params'}; it must have 'params' "
                f"and may have {', '.join(self.options)}"
            )
        params = self._parameters(param_group["params"], number)
        options = self._checked({**self.defaults, **param_group}, f" of group {number}")
        self.param_groups.append({"params": params, **options})

    def _parameters(self, given: Any, number: int) -> list[Tensor]:
        if isinstance(given, set | frozenset | str):
            raise TypeError(
                f"{self._name}: 'params' of group {number} is a {type(given).__name__}; it must be a list, whose order is kept"
            )
        params = [given] if isinstance(given, Tensor) else list(given)
        if not params:
            raise ValueError(
                f"{self._name}: group {number} has no parameters; give at least one Tensor or leave it out"
            )
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(params):
            which = f"{self._name}: parameter {i} of group {number}"
            if not isinstance(p, Tensor):
                raise TypeError(f"{which} is a {type(p).__name__}; it must be a Tensor")
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

    def _checked(self, group: Mapping[str, Any], where: str = "") -> Options:
        options, faults = self.examined(group, where)
        if faults:
            raise type(faults[0])(f"{self._name}: {faults[0]}")
        return options

    def examined(self, group: Mapping[str, Any], where: str) -> tuple[Options, list[TypeError | ValueError]]:
        """The options of a group in plain Python, and what is wrong with them."""
        scheduled: dict[str, Check] = {INITIAL_LR: non_negative} if INITIAL_LR in group else {}
        options, faults = examined({**self.options, **scheduled}, group, where)
        conflict = None if faults else self.conflict(options, where)
        return options, [ValueError(conflict)] if conflict else faults

    # Steps

    def zero_grad(self) -> None:
        """Forget the gradient of every parameter: ``grad`` becomes None."""
        if tracing.watchers:
            tracing.tracer().read(self, "params")
            for p in self._params():
                p.zero_grad()
            return
        for p in self._params():
            p._grad = None

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], T]) -> T: ...
    def step(self, closure: Callable[[], T] | None = None) -> T | None:
        """Update every parameter that has a gradient, in place.

        Nothing is recorded. A graph that saved a parameter's old values refuses to run backward afterwards.

        Args:
            closure: computes the loss and its gradients anew, with recording on, before the update.

        Returns:
            What `closure` returned.

        Raises:
            TypeError, ValueError: if an option was given a value it may not have, or a parameter has become read-only;
                nothing is updated then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        if tracing.watchers:
            tracing.tracer().read(self, "params")
            gradients = [None if (g := p.grad) is None else g._array for p in self._params()]
            if not self._is_of_the_package:
                gradients = [None if g is None else tracing.tracer().compute(np.copy, g) for g in gradients]
            tracing.tracer().effect(self._update, *gradients, writes=lambda: [p._array for p in self._params()])
        else:
            if not self._is_of_the_package:
                for p in self._params():
                    p._grad = p.grad
            self._update(*[None if (g := getattr(p, "_grad", None)) is None else g._array for p in self._params()])
        return loss

    def _update(self, *gradients: Any) -> None:
        """One step along these gradients, one for each parameter."""
        # A floating-point error that the user turned into an exception would stop the sweep halfway.
        with np.errstate(all="ignore"):
            routine = self._routine
            if routine is None or not routine.holds(self, gradients):
                self._routine = None
                self._routine = self._first(gradients)
                return
            routine.mark()
            for place, _, _, _, update in routine.entries:
                update(self, gradients[place])

    def _first(self, gradients: tuple[Array | None, ...]) -> Routine:
        """:meth:`_update` where something is not as it was, and how to do it again."""
        work = self._work(iter(gradients))
        mark = marking(*(p._array for p, *_ in work))
        mark()
        places = {id(p): i for i, p in enumerate(self._params())}
        overridden = type(self).advance is not Optimizer.advance
        entries = []
        for p, g, made, options in work:
            if made:
                self.state.setdefault(p, {}).update(made)
            state, data = self.state.get(p, {}), p._array
            room = self._room_for(data) if data.size <= PIECE else None
            self.advance(state, options)
            if room is None:
                self._sweep(data, g, state, options, bool(made))
            else:
                self.update(data, g, state, options, bool(made), *room)
            again = _sweeping(data, state, options) if room is None else self.prepared(data, state, options, *room)
            if overridden or STEP in state:
                again = _advancing(again, state, options)
            entries.append(Entry(places[id(p)], p, data, state, again))
        known = [self._known[number] for number in range(len(self.param_groups))]
        given = [g is not None for g in gradients]
        sizes = [len(group["params"]) for group in self.param_groups]
        states = [(entry.parameter, entry.state) for entry in entries if entry.state]
        return Routine(list(self._params()), sizes, given, known, entries, states, mark)

    def _params(self) -> list[Tensor]:
        """All, in order: not to be written to."""
        groups = self.param_groups
        params: list[Tensor] = (
            groups[0]["params"] if len(groups) == 1 else [p for group in groups for p in group["params"]]
        )
        return params

    def _work(self, gradients: Iterator[Array | None]) -> list[tuple[Tensor, Array, dict[str, Any], Options]]:
        """What a step will do, checked before the first write: parameter, gradient, slots yet to be kept, options."""
        work = []
        for number, group in enumerate(self.param_groups):
            options, slots = self._current(number, group)
            for i, p in enumerate(group["params"]):
                g = next(gradients)
                if g is None:
                    continue
                if not p._array.flags.writeable:
                    raise ValueError(f"{self._name}: parameter {i} of group {number} has become read-only")
                work.append((p, g, self._missing(p, slots, options) if slots else {}, options))
        return work

    def _current(self, number: int, group: Options) -> tuple[Options, dict[str, Slot]]:
        """The options of a group and the slots that they call for, examined anew if a value is another object."""
        known = self._known.get(number)
        if known is not None:
            values = known[0]
            if all(map(is_, map(group.get, values), values.values())) and (INITIAL_LR in group) == (
                INITIAL_LR in values
            ):
                return known
        options = self._checked(group, f" of group {number}")
        self._known[number] = known = options, self._called_for(options)
        return known

    def _called_for(self, options: Options) -> dict[str, Slot]:
        return {name: slot for name, slot in self.slots.items() if slot.called_for(options)}

    def _missing(self, p: Tensor, slots: dict[str, Slot], options: Options) -> dict[str, Any]:
        """Those of the slots that the state does not have, as they start."""
        kept = self.state.get(p, {})
        return {name: slot.first(p._array, options) for name, slot in slots.items() if name not in kept}

    def _sweep(self, p: Array, g: Array, state: dict[str, Any], group: Options, new: bool) -> None:
        """Update a parameter in pieces, so that what is between two steps of the rule stays in the cache."""
        names = [name for name, value in state.items() if isinstance(value, np.ndarray)]
        arrays = [p, g, *(state[name] for name in names)]

        def work(piece: Sequence[Array]) -> None:
            part, slope, *slots = piece
            t, u = (scratch(name, part.shape, part.dtype) for name in ("step", "step 2"))
            with np.errstate(all="ignore"):  # which is each thread's own
                self.update(part, slope, {**state, **dict(zip(names, slots, strict=True))}, group, new, t, u)

        if all(a.flags.c_contiguous for a in arrays) and not np.may_share_memory(p, g):
            flat = [a.reshape(-1) for a in arrays]
            step = -(-p.size // -(-p.size // LONG))  # pieces of nearly one size
            each(work, [[a[i : i + step] for a in flat] for i in range(0, p.size, step)])
            return
        access: Any = [["readwrite"], ["readonly"], *(["readwrite"] for _ in names)]
        flags: Any = ["external_loop", "buffered", "copy_if_overlap"]
        with np.nditer(arrays, flags=flags, op_flags=access, buffersize=PIECE) as pieces:
            for piece in pieces:
                work(piece)

    def _room_for(self, data: Array) -> tuple[Array, Array]:
        """Scratch of the shape of `data`, twice, which all small parameters share."""
        if data.dtype not in self._scratch:
            self._scratch[data.dtype] = np.empty(PIECE, data.dtype), np.empty(PIECE, data.dtype)
        t, u = (piece[: data.size].reshape(data.shape) for piece in self._scratch[data.dtype])
        return t, u

    # State

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_routine": None}  # which is about this object and its parameters

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state and options, in PyTorch's layout.

        Returns:
            {"state": {index: {slot: array or count}}, "param_groups": [{option: value, "params": [indices]}]}, where
            parameters are numbered through all groups. A parameter that nothing is kept for yet has no entry.
        """
        tracing.tracer().impure("reads the state of an optimizer")
        state, groups, index = {}, [], 0
        for group in self.param_groups:
            options = {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}
            groups.append({**options, "params": list(range(index, index + len(group["params"])))})
            for p in group["params"]:
                if p in self.state:  # with the slots that options changed since the last step call for
                    kept = {**self.state[p], **self._missing(p, self._called_for(options), options)}
                    state[index] = {name: np.copy(v) if isinstance(v, np.ndarray) else v for name, v in kept.items()}
                index += 1
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a copy of the state and options of :meth:`state_dict`; parameters are matched by their order.

        Raises:
            ValueError: if anything does not fit this optimizer: all faults are listed and nothing is changed.
        """
        self._prepare_load(state_dict)()

    def _prepare_load(self, state_dict: Any) -> Callable[[], None]:
        tracing.tracer().impure("loads the state of an optimizer")
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


def _sweeping(p: Array, state: dict[str, Any], group: Options) -> Update:
    return lambda optimizer, g: optimizer._sweep(p, g, state, group, False)


def _advancing(update: Update, state: dict[str, Any], group: Options) -> Update:
    def run(optimizer: Optimizer, g: Array) -> None:
        optimizer.advance(state, group)
        update(optimizer, g)

    return run


# What rules share.


@lru_cache(maxsize=1024)
def number(value: float, dtype: np.dtype[Any]) -> Array:
    """A number as an array without axes, which ufuncs take in sooner than Python's."""
    array = np.array(value, dtype)
    array.flags.writeable = False
    return array


def descent(p: Array, g: Array, group: Options, out: Array) -> Array:
    """d = g + weight_decay p, with -g in place of g to maximize: in `out`, or g itself where nothing is to be done.

    A decay that is decoupled from the gradient is left to :func:`shrink`.
    """
    if group["weight_decay"] and not group.get("decoupled_weight_decay"):
        np.multiply(p, group["weight_decay"], out=out)
        (np.subtract if group["maximize"] else np.add)(out, g, out=out)
        return out
    if group["maximize"]:
        np.negative(g, out=out)
        return out
    return g


def shrink(p: Array, group: Options) -> None:
    """p = (1 - lr weight_decay) p: a decay that does not pass through the averages of the gradient."""
    if group["weight_decay"]:
        p *= 1 - group["lr"] * group["weight_decay"]


def average(mean: Array, beta: float, a: Array, out: Array, square: bool = False) -> None:
    """mean = beta mean + (1 - beta) a, or a^2, with `out` for scratch: an exponential moving average."""
    np.multiply(a, number(1 - beta, out.dtype), out)
    if square:
        np.multiply(out, a, out)
    np.multiply(mean, number(beta, mean.dtype), mean)
    np.add(mean, out, mean)
