"""The course of a compiled function: the ops that its calls called, in order, and what is prepared for each of them.

A `Slot` is the place of a value: the output of a step, or an operand from outside. A `Step` is an op call on slots. The
steps form a tree, because calls may take different branches. While the function runs, the course is the tracer. Each op asks
what is `expected`: the generated code of the next step (`codegen`), which computes the output if the call is that step. A
call that is no prepared step is matched with the record, whose step is then prepared (`tasks`), or made plainly and recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter, call
from threading import get_ident
from typing import Any, TypeAlias

import numpy as np

from ..core import tracing, versions
from ..core.acceleration import accelerations
from ..core.backward import check_unwritten, pull_back, reached
from ..core.graph import Op
from ..core.node import Leaf, Node, hooked
from ..core.tracing import NO_TRACER, Args, performed
from ..core.versions import owner, tick, written_since
from ..kernels.parallel.workspace import LARGE, Pool
from ..tensor import Tensor
from ..transforms.forward import push_forward
from .blocks import Blocks
from .kept import Kept
from .program import Program, in_bytes
from .rules import Rules, Walk
from .slots import Slot, Step, Use
from .tasks import KEPT_BYTES, is_dense, prepare

Taking: TypeAlias = Callable[[Op, Args, Args], Tensor | None]
"""Answers a call of an op, as `Tracer.expected` does."""


MOST_STEPS = 50_000
"""A course grows to this many steps. A function that calls more ops, such as a whole training, runs plainly from there on."""


_node, _parents = attrgetter("node"), attrgetter("parents")


def _nothing(op: Op, inputs: Args, params: Args) -> None:
    """The answer where no step is expected."""


class Course(tracing.Tracer):
    """What is known of a function, and the position of the call that runs now."""

    follows_rules = False
    draw = set_grad = staticmethod(lambda *_: None)  # type: ignore[assignment]
    assigns = False  # whether the function assigned to a Tensor: its calls are plain then

    def __init__(self, most_branches: int) -> None:
        self.outer = NO_TRACER
        self.most_branches = most_branches
        self._token: Any = None
        self._clear()

    def _clear(self) -> None:
        self.first: list[Step] = []  # the steps that a call may begin with
        self.count = self.branches = 0
        self.effect = call  # type: ignore[method-assign, assignment] # see `watch_copies`
        self.walks: dict[tuple[Any, ...], list[Walk]] = {}  # by the slots where they begin; forward ones as in `push`
        self.blocks = Blocks()
        self.pool = Pool()
        self.loose: list[Slot] = []  # those with the array of this call alone
        self.kept = Kept(self.link)
        self._kernels = accelerations()
        self.start: Taking = _nothing  # what answers the first op call
        self.last: Step | None = None  # the step that came last
        self.thread = 0  # the one whose call follows the course, or 0
        self._known: dict[int, list[Slot]] | None = None  # by the id of its array; while steps are recorded

    # A call

    def begin(self) -> None:
        """A call begins: become the tracer of this context."""
        if self._kernels != accelerations():  # the prepared tasks are of other kernels
            self._clear()
        if self.kept.unsure:  # the last call was interrupted before its end
            self.last = self._known = None
            self.kept.check()
        self.kept.unsure = True
        self.thread = get_ident()
        self.expected = self.start  # type: ignore[method-assign, assignment]
        tracing.watchers.append(self)
        self._token = tracing._tracer.set(self)

    def end(self) -> None:
        """The call ends; its result is alive, its other values are not. Nothing happens if it has not begun."""
        try:
            tracing.watchers.remove(self)
        except ValueError:
            return
        if self._token is not None:  # else the call was interrupted before it began
            tracing._tracer.reset(self._token)
            self._token = None
        if self._known is not None:
            self._settle()
        for slot in self.loose:
            slot.array = slot.node = None
            if slot.step is not None and slot.step.varies:
                slot.step.params = ()
        self.loose.clear()
        if self.assigns:
            self._let_go()
        self.kept.check()
        self.last, self.thread, self._known = None, 0, None

    def _let_go(self) -> None:
        """Forget all steps, and give their memory back now: steps and slots refer to each other."""
        waiting = self.first
        while waiting:
            step = waiting.pop()
            waiting += step.children
            step.take, step.next, step.otherwise, step.outer = None, _nothing, _nothing, None
            for slot in (*step.binds, step.output):
                slot.array = slot.fixed = slot.node = slot.tensor = None
        self._clear()
        self._expect(_nothing)

    @property
    def ahead(self) -> list[Step]:
        """The steps that may come next."""
        return self.first if self.last is None else self.last.children

    @property
    def path(self) -> list[Step]:
        """The steps of this call."""
        found, step = [], self.last
        while step is not None:
            found.append(step)
            step = step.previous
        return found[::-1]

    # Ops

    def call(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        """The output of an op that is no prepared step: of a step for other operands from outside, or of one to be recorded."""
        if get_ident() != self.thread:
            return NO_TRACER.call(op, inputs, params)
        for step in self.ahead:
            if step.op is op and (new := step.match(inputs, params)) is not None:
                for slot, x in new:
                    self._bind(step, slot, x)
                step.params = params
                t: Tensor | None = prepare(step, inputs, self)(op, inputs, params)
                if t is None:  # the code of the step takes the call for another one
                    self.stop()
                return t
        return self._record(op, inputs, params)

    def _expect(self, answer: Taking) -> None:
        """Let `answer` be asked for the output of the next op call; the code of steps sets it directly."""
        self.expected = answer  # type: ignore[method-assign, assignment]

    def link(self, step: Step | None) -> None:
        """Let the code of the steps that may come after this one, or first, follow one another as answers."""
        answer: Taking = _nothing
        for child in reversed(self.first if step is None else step.children):
            child.otherwise = answer
            if child.take is not None:
                answer = child.take
        if step is None:
            self.start = answer
        else:
            step.next = answer

    def _bind(self, step: Step, slot: Slot, x: Any) -> None:
        """An operand from outside is another one than in the last call."""
        if slot.is_number:
            slot.array, slot.moves, step.take = x, True, None
            if not step.varies:
                step.varies = True
                self.invalidate(step.output)
                self.walks.clear()  # the recorded rules have the number as a constant
            return
        data, node = (x._array, x._node) if isinstance(x, Tensor) else (x, None)
        if not slot.moves:
            slot.moves, slot.fixed, step.take = True, None, None
            self.invalidate(slot)
        self.loose.append(slot)
        slot.array, slot.node = data, node

    def invalidate(self, slot: Slot, only_views: bool = False) -> None:
        """The array that everybody gets, or that tasks read in place of a slot, is another one: prepare the steps again that
        make views of it, or all that use it and the programs."""
        for step in slot.users:
            if step.take is not None and (step.is_view or not only_views):
                step.take = None
                self.link(step.previous)
        if not only_views:
            for walks in self.walks.values():
                for walk in walks:
                    walk.program = None

    def stop(self) -> None:
        """The rest of the call is plain: the form of a value depends on other values, and what follows was not recorded."""
        self.thread = 0
        self._expect(_nothing)

    def read(self, tensor: Tensor) -> None:
        NO_TRACER.read(tensor)

    def assign(self, tensor: Tensor) -> None:
        self.assigns = True
        self.stop()

    def watch_copies(self) -> None:
        """Tasks read copies of values from now on: they change, too, if a change of state writes into such a value."""
        self.effect = self._effect  # type: ignore[method-assign]

    def _effect(self, function: Callable[..., None], *arrays: Any) -> None:
        now = tick()
        function(*arrays)
        step = self.last if get_ident() == self.thread else None
        while step is not None:
            slot = step.output
            if step.copies and slot.array is not None and written_since(now, [slot.array]):
                np.copyto(slot.fixed, slot.array)  # type: ignore[arg-type]
            step = step.previous

    # Recording

    def _record(self, op: Op, inputs: Args, params: Args) -> Tensor | None:
        """Make the call of an op plainly, and record it as a step."""
        branches = bool(self.ahead) or self.last is None
        if (branches and self.branches >= self.most_branches) or self.count >= MOST_STEPS:
            self.stop()
            return None
        begins = self._known is None
        if self._known is None:
            self._known = {}
            for step in self.path:
                for slot in (*step.binds, step.output):
                    self._note(slot)
        uses = []
        for x in inputs:
            use = self._use(x)
            uses.append(use)
            if use.binds:
                self._note(use.slot)
        try:
            t = performed(op, inputs, params, NO_TRACER)
        except BaseException:
            if begins:
                self._known = None
                raise
            for use in uses:
                if use.binds and not use.slot.is_number:
                    self._known[id(use.slot.array)].remove(use.slot)
            raise
        y, node = t._array, t._node
        step = Step(op, tuple(uses), params, slot := Slot(y), self.last)
        self.loose.append(slot)
        slot.array, slot.node = y, node
        step.next = _nothing
        if isinstance(node, Node):
            step.describe_node(node)
        if y.base is not None or any(x is y for x in map(_array, inputs)):
            base = owner(y)
            step.is_view = any(isinstance(a := _array(x), np.ndarray) and owner(a) is base for x in inputs)
        self.ahead.append(step)
        self.link(self.last)
        self._note(slot)
        self.count += 1
        self.branches += branches
        self.last = step
        self._expect(_nothing)
        return t

    def _use(self, x: Any) -> Use:
        """An operand in terms of slots."""
        assert self._known is not None
        if isinstance(x, Tensor):
            data, node = x._array, x._node
        elif isinstance(x, np.ndarray):
            data, node = x, None
        else:
            slot = Slot(None)
            slot.array, slot.is_number = x, True
            return Use(slot, False, True)
        slots = self._known.get(id(data), ())
        for slot in slots:
            if slot.node is node:
                return Use(slot, True, False)
        if node is None and slots:  # detached
            return Use(slots[0], False, False)
        slot = Slot(data)
        slot.array, slot.node, slot.is_outside, slot.placed_as = data, node, True, type(node)
        return Use(slot, True, True)

    def _note(self, slot: Slot) -> None:
        """Note where an array of this call is."""
        if self._known is not None and slot.array is not None and not slot.is_number:
            self._known.setdefault(id(slot.array), []).append(slot)

    def _settle(self) -> None:
        """After a recorded call: note with which step each large value is used last, unless its node saves it."""
        path = self.path
        releases: dict[Step, list[Slot]] = {}
        for step in path:
            slot = step.output
            if slot.nbytes <= KEPT_BYTES or "y" in step.saved or any(user.saves(slot) for user in slot.users):
                continue
            for user in slot.users:
                if not any(other is not user and other.follows(user) for other in slot.users):
                    releases.setdefault(user, []).append(slot)
        for step in path:
            found = tuple(releases.get(step, ()))
            if found != step.releases:
                step.releases, step.take = found, None
                self.link(step.previous)

    # Backward

    def walk(
        self, roots: Sequence[tuple[Any, Any]], wanted: Collection[Any] | None, retain: bool, finished: Any
    ) -> dict[Node | Leaf, np.ndarray] | None:
        last = self.last
        if last is None or get_ident() != self.thread:
            return None
        if len(roots) == 1 and last.output.node is roots[0][0]:
            found: tuple[Any, ...] = (last.output,)
        else:
            found = tuple([self._slot_of(place) for place, _ in roots])
            if not found or None in found:
                return None
        if hooked:
            oldest = min([place.number for place in wanted]) if wanted else 0
            if any(hasattr(p, "hooks") for places in reached([p for p, _ in roots], oldest) for p in places):
                return None
        for walk in self.walks.get(found, ()):
            if walk.serves(roots, wanted):
                break
        else:
            return self._recorded_walk(found, roots, wanted, retain, finished)  # type: ignore[no-any-return]
        return self._repeated(walk, roots, retain, finished)

    def push(self, starts: Mapping[Any, Any], outputs: Sequence[Any], n: int | None) -> list[Any] | None:
        if self.last is None or get_ident() != self.thread:
            return None
        found = ("forward", n, *map(self._slot_of, outputs))
        if None in found[2:]:
            return None
        for walk in self.walks.get(found, ()):
            roots = [(slot.node, starts.get(slot.node)) for slot in walk.starts]
            if len(roots) == len(starts) and not any(t is None for _, t in roots) and walk.serves(roots, starts.keys()):
                break
        else:
            return self._recorded_push(found, starts, outputs, n)
        tangents = self._repeated(walk, roots, True, None)
        return None if tangents is None else [tangents.get(place) for place in outputs]

    def _repeated(
        self, walk: Walk, roots: Sequence[tuple[Any, Any]], retain: bool, finished: Any
    ) -> dict[Node | Leaf, np.ndarray] | None:
        """What a recorded walk gives in this call; None if it should go on plainly."""
        if walk.fails or self._known is not None:
            return None
        nodes: list[Any] = [*map(_node, walk.visited)]
        if not (all(nodes) and all(map(_parents, nodes))):  # freed
            return None
        if walk.program is None:
            walk.uses += 1
            if walk.uses < 2:
                return None
            walk.program = Program(walk, self.pool)
            self._share(walk)
        if walk.program.is_loose and not walk.program.serves():
            return None
        if walk.starts:
            nodes.reverse()
        if nodes and nodes[-1].number <= versions.latest:
            check_unwritten(nodes)
        self.thread = 0  # an op that is called meanwhile is plain: tasks of steps write where values of the walk are
        try:
            gradients = walk.program.run(roots, finished)
            if gradients is None:  # somebody holds those of an earlier call: they get copies now
                walk.program = Program(walk, self.pool)
                gradients = walk.program.run(roots, finished)
        finally:
            if not self.assigns:
                self.thread = get_ident()
        if not retain:
            for node in nodes:
                node.saved = node.parents = None
        return gradients

    def _share(self, newest: Walk) -> None:
        """If there is new memory in place of much that tasks have, prepare them again where they are used next."""
        if self.pool.outgrown < LARGE:
            return
        self.pool.outgrown = 0
        for walk in [walk for walks in self.walks.values() for walk in walks if walk is not newest]:
            walk.program = None
        waiting = [*self.first]
        while waiting:
            step = waiting.pop()
            waiting += step.children
            if (
                step.op.prepare is not None and step.output.tensor is None
            ):  # else its code counts as a holder: see `Kept`
                step.take = None
                self.link(step.previous)

    def _slot_of(self, place: Any) -> Slot | None:
        """The slot of a node, if a step of this call made it."""
        step = self.last
        while step is not None:
            if step.output.node is place:
                return step.output
            step = step.previous
        return None

    def _recorded_walk(self, found: tuple[Slot, ...], roots: Any, wanted: Any, retain: bool, finished: Any) -> Any:
        """Walk plainly from these slots, and record the ops of the rules."""
        walks = self.walks.setdefault(found, [])
        if len(walks) >= self.most_branches:
            return None
        if not _have_no_gaps(g for _, g in roots):
            return None
        known = self._places()
        if known is None:
            return None
        leaves, places = known
        rules = Rules(places)
        given = [(place, rules.root(g)) for place, g in roots]
        told = finished and (lambda place, g: finished(place, g._array))
        with tracing.trace(rules):
            results = pull_back(given, wanted, retain=retain, create=False, finished=told)
        walks.append(rules.recorded(results, wanted, leaves, []))
        return {place: g._array for place, g in results.items()}

    def _recorded_push(
        self, found: tuple[Any, ...], starts: Mapping[Any, Any], outputs: Sequence[Any], n: int | None
    ) -> list[Any] | None:
        """Walk plainly to these outputs, and record the ops of the forward rules."""
        walks, known = self.walks.setdefault(found, []), self._places()
        if len(walks) >= self.most_branches or known is None or not known[1].keys() >= starts.keys():
            return None
        if not _have_no_gaps(starts.values()):
            return None
        leaves, places = known
        rules = Rules(places)
        given = {place: rules.root(t) for place, t in starts.items()}
        with tracing.trace(rules):
            tangents = push_forward(given, outputs, create=False, n=n, by=rules.forward)
        moving = {place: t for place, t in zip(outputs, tangents, strict=True) if t is not None}
        walks.append(rules.recorded(moving, starts.keys(), leaves, [places[place] for place in starts]))
        return [t if t is None else t._array for t in tangents]

    def _places(self) -> tuple[list[Slot], dict[Any, Slot]] | None:
        """The slots of what this call has from outside with a node, and of all its nodes; None if one leaf is in two slots."""
        path = self.path
        leaves = [slot for step in path for slot in step.binds if slot.node is not None]
        places: dict[Any, Slot] = {slot.node: slot for slot in leaves}
        if len(places) < len(leaves):  # which of them is asked for in another call?
            return None
        return leaves, places | {place: step.output for step in path if (place := step.output.node) is not None}

    # Reports

    @property
    def summary(self) -> str:
        """See `Compiled.summary`."""
        return f"{self.count} operations" if self.count else ""

    @property
    def nbytes(self) -> int:
        """The size of the memory that is kept."""
        programs: list[Program] = [
            walk.program for walks in self.walks.values() for walk in walks if walk.program is not None
        ]
        return self.blocks.nbytes + self.pool.nbytes + sum(program.nbytes for program in programs)

    def describe(self) -> str:
        """See `Compiled.describe`."""
        lines: list[str] = []
        names: dict[Slot, str] = {}
        waiting = [(step, 0) for step in reversed(self.first)]
        while waiting:
            step, depth = waiting.pop()
            lines.append("  " * depth + step.text(names))
            waiting += [(child, depth + (len(step.children) > 1)) for child in reversed(step.children)]
        for walk in [walk for walks in self.walks.values() for walk in walks]:
            if walk.program is not None:
                kind = "forward" if walk.starts else "backward"
                lines += [f"{kind}: {len(walk.program.lines)} calls", *walk.program.lines]
        lines.append(f"{self.count} operations; memory kept: {in_bytes(self.nbytes)}")
        return "\n".join(lines)


def _array(x: Any) -> Any:
    return getattr(x, "_array", x)


def _have_no_gaps(roots: Iterable[Any]) -> bool:
    """Whether a program, which has copies of where it begins, computes as a plain walk: kernels may differ with gaps."""
    return all(is_dense(g.shape, g.strides, g.dtype.itemsize) for g in roots)
