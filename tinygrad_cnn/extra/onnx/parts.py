"""The nodes of a file as modules that call each other: a part is a module of the network that was exported, or a node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...nn import Module
from ...nn.module import Kind
from .errors import OnnxError
from .program import Env, Step, run_step

Path = tuple[str, ...]


class Scope(Module):
    """A module that is not called as a whole: it holds parameters, buffers, and parts that are called one by one.

    As a ModuleList does, it takes hooks, and never calls them.
    """

    _path: Path = ()
    _users: Sequence[str] = ()  # the parts that are called instead

    def _register(self, kind: Kind, name: str, value: Any, new: bool = False) -> None:
        _check_replacement(self, kind, name, value)
        super()._register(kind, name, value, new)


def _check_replacement(owner: Module, kind: Kind, name: str, value: Any) -> None:
    """OnnxError for a module in the place of a :class:`Scope`, which nothing would call."""
    there = vars(owner).get(name)
    if kind == "module" and isinstance(there, Scope) and value is not there and there._users:
        raise OnnxError(
            f"`{'.'.join(there._path)}` cannot be replaced by {type(value).__name__}: the file does not use it in one place, "
            f"so nothing would call the new module; replace {_listed(there._users)}"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


class Call:
    """A step of a part: a call of the module that is at a path when the step runs."""

    __slots__ = ("after", "inputs", "outputs", "path")

    def __init__(self, path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.path, self.inputs, self.outputs = path, tuple(inputs), tuple(outputs)
        self.after: tuple[str, ...] = ()  # values that no later step reads

    def run(self, owner: Module, env: Env) -> None:
        """Call the module with the values of the inputs, and store what it returns."""
        module = at(owner, self.path)
        args = [env[name] for name in self.inputs]
        if isinstance(module, Part):
            made = (
                module(*args, state={n: env[n] for n in module._needs if n in env}) if module._needs else module(*args)
            )
        elif isinstance(module, Module):
            made = self._replaced(module, args)
        else:
            raise OnnxError(f"`{'.'.join(self.path)}` is missing; assign a module, such as nn.Identity()")
        results = made if made.__class__ is tuple else (made,)
        if len(results) != len(self.outputs) and self.outputs:
            raise OnnxError(
                f"`{'.'.join(self.path)}` ({type(module).__name__}) returned {len(results)} values; the graph needs "
                f"{len(self.outputs)}"
            )
        env.update(zip(self.outputs, results, strict=False))

    def _replaced(self, module: Module, args: list[Any]) -> Any:
        try:
            return module(*args)
        except Exception as error:
            shapes = ", ".join(str(tuple(getattr(a, "shape", ()))) for a in args)
            error.add_note(f"in `{'.'.join(self.path)}` of a loaded ONNX graph, called with inputs of shapes {shapes}")
            raise


def at(owner: Module, path: Path) -> Any:
    """What is at a path; None if nothing is."""
    found: Any = owner
    for name in path:
        found = vars(found).get(name) if isinstance(found, Module) else None
    return found


class Part(Module):
    """A module of the network that was exported, or a single node: nodes of the file with their parameters and buffers.

    It is called with the values that its nodes take from the rest of the graph, and returns those that the rest uses. Assign
    another module in its place, and that is called instead. ``part[i]`` is the i-th part within it, in the order of calls.
    """

    # Before `forward` returns, arrays stay arrays: shapes are computed without Tensors.
    _returned = staticmethod(lambda output: output)

    _path: Path = ()
    _is_node = False  # one of several nodes of the module around it
    _needs: frozenset[str] = frozenset()  # parameters and buffers that the modules around it pass

    def __init__(self) -> None:
        self._steps: list[Any] = []  # of class Call, or of class Step in a part without parts
        self._inputs: tuple[str, ...] = ()
        self._outputs: tuple[str, ...] = ()
        self._places: list[tuple[str, Path]] = []  # parameters and buffers by name in the file, and where they are
        self._lent: dict[str, str] = {}  # of these, the attributes of this module that only parts within read
        self._constants: Env = {}

    def forward(self, *inputs: Any, state: Env | None = None) -> Any:
        """The values that the rest of the graph uses: one, or a tuple. `state` has parameters of modules around it."""
        if len(inputs) != len(self._inputs):
            raise OnnxError(f"`{'.'.join(self._path)}` is given {len(inputs)} inputs; it takes {len(self._inputs)}")
        env = self._started(state or {})
        env.update(zip(self._inputs, inputs, strict=True))
        return self._ran(env)

    def _started(self, state: Env) -> Env:
        """The values before the first step: constants, parameters and buffers."""
        env = {**state, **self._constants}
        for name, path in self._places:
            *scopes, leaf = path
            owner: Any = self
            for scope in scopes:
                owner = vars(owner).get(scope)
                if not isinstance(owner, Part | Scope):  # replaced, and its parameters with it
                    break
            else:
                env[name] = vars(owner).get(leaf)
        return env

    def _ran(self, env: Env) -> Any:
        if self._is_leaf:
            for name in self._needs:
                if name not in env:
                    raise OnnxError(
                        f"`{'.'.join(self._path)}` needs {name!r} of a module that was replaced, or that does not call it; "
                        "replace it too, or call the model"
                    )
            for step in self._steps:
                run_step(step, env, self._training)
        else:
            for call in self._steps:
                call.run(self, env)
                for name in call.after:
                    del env[name]
        found = tuple([env[name] for name in self._outputs])
        return found[0] if len(found) == 1 else found

    @property
    def _is_leaf(self) -> bool:
        return bool(self._steps) and isinstance(self._steps[0], Step)

    # Parts in the order of calls

    def _calls(self) -> list[Call]:
        return [] if self._is_leaf else self._steps

    def __len__(self) -> int:
        return len(self._calls())

    def __bool__(self) -> bool:
        return True  # a node, too, which has no parts

    def __iter__(self) -> Iterator[Module]:
        return (at(self, call.path) for call in self._calls())

    def __getitem__(self, index: int) -> Module:
        return at(self, self._call(index).path)  # type: ignore[no-any-return]

    def __setitem__(self, index: int, module: Module) -> None:
        if not isinstance(module, Module):
            what = f"a {type(module).__name__}" if not isinstance(module, type) else f"the class {module.__name__}"
            raise TypeError(
                f"{type(self).__name__}: part {index} cannot be {what}; assign a module, such as nn.Linear(32, 10)"
            )
        *above, name = self._call(index).path
        setattr(at(self, tuple(above)), name, module)

    def _call(self, index: int) -> Call:
        calls = self._calls()
        if isinstance(index, bool) or not isinstance(index, int):
            raise TypeError(f"{type(self).__name__}: {index!r} is no index of a part; give a whole number")
        if not -len(calls) <= index < len(calls):
            raise IndexError(f"{type(self).__name__}: there is no part {index} among {len(calls)}")
        return calls[index]

    # Registration

    def _register(self, kind: Kind, name: str, value: Any, new: bool = False) -> None:
        _check_replacement(self, kind, name, value)
        super()._register(kind, name, value, new)

    def _own(self, *kinds: Kind) -> Iterator[tuple[str, Any]]:
        """The registered values, but for parameters and buffers that no part reads any more, because it was replaced."""
        found = super()._own(*kinds)
        if not self._lent or kinds == ("module",):
            return found
        read = self._read()
        return ((name, value) for name, value in found if self._lent.get(name, name) in read or name not in self._lent)

    def _read(self) -> set[str]:
        """The names of parameters and buffers that the parts within read now."""
        if self._is_leaf:
            return set(self._needs)
        found = set(self._outputs)
        for part in self:
            if isinstance(part, Part):
                found |= part._read()
        return found

    def _rows(self) -> Iterator[tuple[str, str]]:
        """The modules that replaced parts."""
        for call in self._calls():
            module, name = at(self, call.path), ".".join(call.path)
            if isinstance(module, Part):
                yield from ((f"{name}.{below}", text) for below, text in module._rows())
            else:
                yield name, repr(module)

    def extra_repr(self) -> str:
        """The operators of its nodes."""
        nodes = list(self._nodes())
        return nodes[0].operator if len(nodes) == 1 else f"{len(nodes)} nodes"

    def _nodes(self) -> Iterator[Step]:
        if self._is_leaf:
            yield from self._steps
        for part in self:
            if isinstance(part, Part):
                yield from part._nodes()
