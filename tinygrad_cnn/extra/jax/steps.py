"""The steps of `fit` on JAX's devices."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...core.grad_mode import no_grad
from ...nn import Module, functional_call
from ...ops.random import get_rng_state, set_rng_state
from ...tensor import Tensor
from ...training.accumulate import groups
from ...training.batches import tensors
from ...training.callbacks import Callback
from ...training.measure import checked_loss, measured
from ...training.steps import Steps
from .errors import JaxError
from .functions import load, placed, results, state, tensor
from .optimizers import check
from .rule import Rule
from .tracer import InJax

if TYPE_CHECKING:
    from ...training.run import Run
    from .devices import Devices

EVERY = 64
"""Steps between two copies of the weights to the model, which ``fit`` repeats a step with if a loss is not finite."""

BLIND = frozenset(
    ["tinygrad_cnn.extra.live.live", *(f"tinygrad_cnn.training.{name}" for name in ("callbacks", "progress", "finder"))]
)
"""Modules whose callbacks look at no weights when a step ends."""

OF_GRADIENTS = "tinygrad_cnn.training.records"
"""A module whose callbacks look at gradients when a step ends."""


class Now(NamedTuple):
    """What is on the devices: the parameters that are trained, all others, the buffers, and the arrays of the optimizer."""

    params: dict[str, Any]
    fixed: dict[str, Any]
    buffers: dict[str, Any]
    slots: dict[str, dict[str, Any]]


class Known(NamedTuple):
    """What tracing a step has shown: the parameters that get a gradient, and whether JAX can compute the metrics."""

    used: frozenset[str]
    metrics: bool


class Found(NamedTuple):
    """What a step measured. Without the totals of metrics there is the output, and the library computes them."""

    loss: Any
    totals: tuple[Any, ...] | None
    output: Any


class DeviceSteps(Steps):
    """Steps that JAX compiles, anew for other shapes, modes of modules and options of the optimizer."""

    def __init__(self, engine: Devices, run: Run) -> None:
        super().__init__(run, False)
        check(run.optimizer)
        if isinstance(run.loss, Module) and [*run.loss.parameters()]:
            raise ValueError(
                f"fit: the loss, {type(run.loss).__name__}, has parameters, which the engine would not train; put them into "
                "the model"
            )
        self._engine = engine
        self._rule = Rule(run.optimizer, run.model)
        self._now: Now | None = None  # None while the arrays of the model and the optimizer are newer
        self._ahead = False  # whether the devices have taken steps that the model has not seen
        self._compiled: dict[Any, Any] = {}
        self._used: frozenset[str] = frozenset()
        ending = {type(c).__module__ for c in run.callbacks if type(c).on_step_end is not Callback.on_step_end} - BLIND
        hooks = any(type(c).on_gradients is not Callback.on_gradients for c in run.callbacks)
        self._hooks = hooks or OF_GRADIENTS in ending  # whether callbacks look at gradients
        self._shows = hooks or bool(ending)  # or at weights
        count = len(engine.devices)
        run.how = f"steps run on {count} {engine.devices[0].platform} device{'s' * (count > 1)} of JAX"

    def start(self, resume: Any) -> None:
        """Adopt the state of a checkpoint. TypeError if JAX has no such dtype."""
        super().start(resume)
        state(self.run.model)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._pull()

    # What `fit` calls

    def batches(self) -> Iterator[Any]:
        """The rest of the epoch, after which the model has the new weights."""
        self._now, self._ahead = None, False  # callbacks may have written the model's
        rest = super().batches()
        yield from rest if self.run.accumulate == 1 else groups(iter(rest), self.run.accumulate)
        self._pull()

    def validated(self, interrupt: Any) -> Any:
        """Validate with the weights of the model, which a callback may have written since the last step."""
        self._now = None
        return super().validated(interrupt)

    def end(self, interrupt: Any) -> bool:
        """Whether the training ends, in which case the model has the new weights."""
        ends = super().end(interrupt)
        if ends:
            self._pull()
        return ends

    def train(self, batch: Any) -> None:
        """Take one step, of a batch or of several that are accumulated, and count the measured values."""
        run = self.run
        group = [tensors(each, run.keys) for each in (batch if run.accumulate > 1 else [batch])]
        run.parts = group[-1]
        now, arrays = self._pushed(), [self._engine.put_batch(parts) for parts in group]
        known = [self._known(now, each) for each in arrays]
        try:
            if run.accumulate == 1 and not self._hooks:
                found = [self._step(now, known[0], arrays[0])]
            else:
                found = self._step_in_parts(now, known, arrays)
            for each, parts in zip(found, group, strict=True):
                self._check_values(each, parts)
        except BaseException:
            self._now = None  # what was on the devices may be used up
            raise
        self._ahead = True
        shown = None  # the first batch whose loss is not finite
        for each, parts in zip(found, group, strict=True):
            run.means.add(self._measured_by(each, parts), parts[-1])
            if shown is None and not math.isfinite(run.means.last):
                shown = parts, run.means.last
        run.parts, run.means.last = shown or (group[-1], run.means.last)
        if self._shows or (run.step + 1) % EVERY == 0:
            self._pull()
        if self._shows:
            self._now = None
            if not self._hooks:
                run.optimizer.zero_grad()  # gradients of another training would be those of no step

    def _tested(self, *parts: Tensor) -> tuple[Tensor, ...]:
        now, arrays = self._pushed(), self._engine.put_batch(parts)
        known = self._known(now, arrays)
        forward = partial(self._forward, known.metrics, bool(self._watching))
        test = self._function("test", known, arrays, lambda: jax.jit(forward))
        _, (_, found) = test({}, {**now.params, **now.fixed}, now.buffers, self._key(), *arrays)
        self._check_values(found, parts)
        for function in self._watching:
            function(self.run, parts, jax.tree.map(_tensor, found.output))
        return self._measured_by(found, parts)

    # The functions that are compiled

    def _forward(
        self, metrics: bool, output: bool, params: Any, fixed: Any, buffers: Any, key: Any, *batch: Any
    ) -> tuple[Any, tuple[Any, Found]]:
        """The loss, the buffers after it, and what was measured."""
        run, tracer = self.run, InJax()
        own = placed(tracer, params, {**fixed, **buffers})
        *inputs, target = [tensor(part).detach() for part in batch]

        def forward() -> Any:
            y = functional_call(run.model, own, tuple(inputs))
            value = checked_loss(run.loss(y, target))
            self._used = _reached(value, {name: own[name] for name in params})
            totals = tuple(measured(value, y, target, run.means.metrics)[1:]) if metrics else None
            found = Found(value, totals, y if output or not metrics else None)
            return value.reshape(()), ({name: own[name] for name in buffers}, found)

        seed, number = key
        found: tuple[Any, tuple[Any, Found]] = results(
            tracer, jax.random.fold_in(jax.random.key(seed), number), forward
        )
        return found

    def _gradients(
        self, known: Known, params: Any, fixed: Any, buffers: Any, key: Any, *batch: Any
    ) -> tuple[Found, Any, dict[str, Any]]:
        """What was measured, the buffers after it, and the gradients."""
        forward = jax.value_and_grad(partial(self._forward, known.metrics, False), has_aux=True)
        (_, (buffers, found)), grads = forward(params, fixed, buffers, key, *batch)
        return found, buffers, {name: grads[name] for name in sorted(known.used)}

    def _accumulated(
        self, known: Known, total: Mapping[str, Any], share: Any, *arguments: Any
    ) -> tuple[Found, Any, dict[str, Any]]:
        """The same, with the gradients times a share added to a total."""
        found, buffers, grads = self._gradients(known, *arguments)
        added = {name: total[name] + g * share if name in total else g * share for name, g in grads.items()}
        return found, buffers, {**total, **added}

    def _clipped(self, grads: dict[str, Any]) -> dict[str, Any]:
        """Gradients with the arithmetic of clip_grad_norm_. Where callbacks see them, they are clipped after that."""
        limit = self.run.clip_norm
        if limit is None or self._hooks or not grads:
            return grads
        dtype = jnp.result_type(*grads.values())
        largest = jnp.max(jnp.stack([jnp.max(jnp.abs(g), initial=0).astype(dtype) for g in grads.values()]))
        unit = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)  # powers of elements may overflow
        total = jnp.sum(jnp.stack([jnp.sum(jnp.square(g / unit)).astype(dtype) for g in grads.values()]))
        norm = jnp.where(jnp.isfinite(largest), unit * jnp.sqrt(total), largest)
        scale = limit / (norm + 1e-6)
        return {name: jnp.where(scale >= 1, g, g * scale.astype(g.dtype)) for name, g in grads.items()}

    # A step

    def _step(self, now: Now, known: Known, arrays: Sequence[Any]) -> Found:
        """Take a step, in one function."""
        with self._rule.stepping(known.used, now.slots, self._engine.put) as (slots, numbers, options):
            update = self._rule.update

            def whole(
                params: Any, slots: Any, buffers: Any, fixed: Any, numbers: Any, options: Any, key: Any, *batch: Any
            ) -> Any:
                found, buffers, grads = self._gradients(known, params, fixed, buffers, key, *batch)
                return (*update(params, slots, numbers, options, self._clipped(grads)), buffers, found)

            def make() -> Any:
                return jax.jit(whole, donate_argnums=(0, 1, 2), out_shardings=self._engine.whole)

            step = self._function("step", known, arrays, make)
            params, slots, buffers, found = step(
                now.params, slots, now.buffers, now.fixed, numbers, options, self._key(), *arrays
            )
            self._now = Now(params, now.fixed, buffers, slots)
        return found  # type: ignore[no-any-return]

    def _step_in_parts(self, now: Now, known: Sequence[Known], batches: Sequence[Sequence[Any]]) -> list[Found]:
        """Take a step in several functions: one for each batch, after which callbacks see the gradients, and the update."""
        examples = sum(len(arrays[-1]) for arrays in batches)
        grads: Any = {}
        buffers, measured_values = now.buffers, []
        for number, (own, arrays) in enumerate(zip(known, batches, strict=True)):
            made = partial(jax.jit, partial(self._accumulated, own))
            gradients = self._function("gradients", own, [*arrays, *grads.values()], made)
            share = len(arrays[-1]) / max(1, examples)
            found, buffers, grads = gradients(grads, share, now.params, now.fixed, buffers, self._key(number), *arrays)
            measured_values.append(found)
        if self._hooks:
            grads = self._seen(grads)
        with self._rule.stepping(frozenset(grads), now.slots, self._engine.put) as (slots, numbers, options):
            made = partial(jax.jit, partial(self._updated))  # JAX knows a method again, and would not trace it anew
            update = self._function("update", Known(frozenset(grads), True), (), made)
            params, slots = update(now.params, slots, numbers, options, grads)
            self._now = Now(params, now.fixed, buffers, slots)
        return measured_values

    def _updated(self, params: Any, slots: Any, numbers: Any, options: Any, grads: Any) -> tuple[Any, Any]:
        return self._rule.update(params, slots, numbers, options, self._clipped(grads))

    def _seen(self, grads: dict[str, Any]) -> Any:
        """The gradients after the callbacks have seen them in the model, and may have changed them."""
        members = self._rule.members
        for name, (p, _) in members.items():
            p.grad = _tensor(grads[name]) if name in grads else None
        if self._before_update is not None:
            self._before_update()
        return self._engine.put({name: p.grad.numpy() for name, (p, _) in members.items() if p.grad is not None})

    def _function(self, kind: str, known: Known, arrays: Sequence[Any], make: Callable[[], Any]) -> Any:
        """A function that is compiled. Its Python runs again where what it depends on has changed."""
        key = (kind, known, self._rule.key, *self._signature(arrays))
        if key not in self._compiled:
            self._compiled[key] = make()
        return self._compiled[key]

    def _signature(self, arrays: Sequence[Any]) -> tuple[Any, ...]:
        modes = tuple([module.training for module in self.run.model.modules()])
        return modes, self._rule.trained(), *[(array.shape, str(array.dtype)) for array in arrays]

    def _known(self, now: Now, arrays: Sequence[Any]) -> Known:
        """Trace the step of a batch of new shapes, before it is compiled."""
        signature = ("known", *self._signature(arrays))
        if signature not in self._compiled:
            given = (*now[:3], self._key(), *arrays)
            metrics = True
            try:
                jax.eval_shape(partial(self._forward, True, False), *given)
            except JaxError:  # a metric may read values: then it is given the output
                jax.eval_shape(partial(self._forward, False, False), *given)
                metrics = False
            self._compiled[signature] = Known(self._used, metrics)
        return self._compiled[signature]  # type: ignore[no-any-return]

    def _key(self, batch: int = 0) -> Any:
        """Two numbers that determine all draws of a batch of this step, after a pause, too."""
        digest = hashlib.blake2b(repr(get_rng_state()).encode(), digest_size=4).digest()
        number = (self.run.step * self.run.accumulate + batch) % 2**32
        return np.array([int.from_bytes(digest, "little"), number], np.uint32)

    # What it measured

    def _measured_by(self, found: Found, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The loss and the totals of the metrics."""
        value = _tensor(found.loss)
        if found.totals is None:
            return measured(value, jax.tree.map(_tensor, found.output), parts[-1], self.run.means.metrics)
        return (value, *map(_tensor, found.totals))

    def _check_values(self, found: Found, parts: Sequence[Tensor]) -> None:
        """Raise the library's error for a batch that has wrong values, such as labels out of range: the loss is NaN then."""
        if math.isfinite(float(np.asarray(found.loss).reshape(()))):
            return
        model, random = self.run.model, get_rng_state()
        before = [(t, t.numpy().copy()) for t in model.buffers()]
        try:
            with no_grad():
                *inputs, target = parts
                self.run.loss(model(*inputs), target)
        finally:
            set_rng_state(random)
            for t, values in before:
                t.copy_(values)

    # To the devices and back

    def _pushed(self) -> Now:
        """What is on the devices, after the model's and the optimizer's arrays were copied there if they are newer."""
        if self._now is None:
            params, buffers = state(self.run.model)
            trained = self._rule.trained()
            parts = ({n: p for n, p in params.items() if (n in trained) is wanted} for wanted in (True, False))
            self._now = Now(*map(self._engine.put, (*parts, buffers, self._rule.slots())))
        return self._now

    def _pull(self) -> None:
        """Copy what is on the devices into the model and the optimizer, if it is newer."""
        if self._now is not None and self._ahead:
            self._ahead = False
            load(self.run.model, self._now.params, self._now.buffers)
            self._rule.load(self._now.slots)


def _tensor(x: Any) -> Any:
    return Tensor._of(np.array(x)) if isinstance(x, jax.Array) else x


def _reached(root: Tensor, params: dict[str, Tensor]) -> frozenset[str]:
    """The names of the parameters that a Tensor was computed from, as far as gradients pass."""
    found: list[Any] = [root._node]
    seen = {None, *found}
    for node in found:
        for parent in (node.parents or ()) if node is not None else ():
            if parent not in seen:
                seen.add(parent)
                found.append(parent)
    return frozenset(name for name, p in params.items() if p._node in seen)
