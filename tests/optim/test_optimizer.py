"""What every optimizer shares: groups, closures, graphs that outlive a step, and errors that change nothing."""

import copy
import gc
import inspect
import re
import weakref
from typing import Annotated, ClassVar

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.checks import non_negative
from tinygrad_cnn.ops import replaced
from tinygrad_cnn.optim import SGD, Optimizer
from tinygrad_cnn.optim.hyperparameters import Positive, positive
from tinygrad_cnn.optim.state import Number

from .common import assert_same, descend, leaf, snapshot
from .optimizers import APART, ROWS, every_class, every_optimizer, every_row, every_variant, other_options

# The table


def test_every_optimizer_has_a_row():
    things = [getattr(tg.optim, name) for name in tg.optim.__all__]
    public = {thing for thing in things if isinstance(thing, type) and issubclass(thing, Optimizer)}
    assert public - {Optimizer} == {row.optimizer for row in ROWS} | APART
    assert len(ROWS) == len({row.optimizer for row in ROWS})


@every_row
def test_a_row_says_what_the_constructor_takes(row):
    taken = inspect.signature(row.optimizer).parameters
    assert [*taken][:2] == ["params", "lr"]
    assert row.options.keys() == taken.keys() - {"params"}
    stepping = row.optimizer([leaf(2)])
    assert stepping.defaults == row.defaults
    assert row.optimizer.options.keys() == row.defaults.keys()
    assert {name: value for name, value in stepping.param_groups[0].items() if name != "params"} == row.defaults


@every_row
def test_a_row_says_what_is_kept(row):
    p = leaf(2)
    stepping = row.optimizer([p], **row.full)
    descend(stepping, [p])
    assert {name: type(value) for name, value in stepping.state[p].items()} == row.slots


# Groups


@every_optimizer
def test_groups_have_options_of_their_own(optimizer, options):
    together, apart = [leaf(2), leaf(3)], [leaf(2), leaf(3)]
    fast, slow = options, options | {"lr": 0.01} | other_options(optimizer)
    grouped = optimizer([{"params": together[0]}, {"params": [together[1]], **slow}], **fast)
    alone = [optimizer([apart[0]], **fast), optimizer([apart[1]], **slow)]
    descend(grouped, together, 3)
    for stepping, p in zip(alone, apart, strict=True):
        descend(stepping, [p], 3)
    for p, q in zip(together, apart, strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy())


@every_optimizer
def test_a_group_added_later_starts_afresh(optimizer, options):
    p, q, r = leaf(2), leaf(3), leaf(3)
    stepping, fresh = optimizer([p], **options), optimizer([r], **options, **other_options(optimizer))
    descend(stepping, [p], 3)
    group = {"params": (t for t in [q]), **other_options(optimizer)}
    before = set(group)
    stepping.add_param_group(group)
    assert set(group) == before
    descend(stepping, [p, q], 2)
    descend(fresh, [r], 2)
    np.testing.assert_array_equal(q.numpy(), r.numpy())


@every_variant
def test_a_parameter_exchanged_for_another_is_updated_instead_of_it(optimizer, options):
    p, q, r = leaf(3), leaf(3), leaf(3)
    stepping, fresh = optimizer([p], **options), optimizer([r], **options)
    descend(stepping, [p], 3)
    held = p.numpy().copy()
    stepping.param_groups[0]["params"][0] = q
    descend(stepping, [q], 2)
    descend(fresh, [r], 2)
    np.testing.assert_array_equal(p.numpy(), held)
    np.testing.assert_array_equal(q.numpy(), r.numpy())


@pytest.mark.parametrize(("optimizer", "options"), [(row.optimizer, row.full) for row in ROWS if row.follows_lr])
def test_options_written_between_steps_are_read(optimizer, options):
    p, q = leaf(3), leaf(3)
    stepping, other = optimizer([p], **options), optimizer([q], **options | {"lr": 0.0})
    stepping.param_groups[0]["lr"] = 0
    descend(stepping, [p])
    descend(other, [q])
    np.testing.assert_array_equal(p.numpy(), [1, 2, 3])
    stepping.param_groups[0]["lr"] = other.param_groups[0]["lr"] = np.float32(0.5)
    descend(stepping, [p], 2)
    descend(other, [q], 2)
    np.testing.assert_array_equal(p.numpy(), q.numpy())
    assert not np.array_equal(p.numpy(), [1, 2, 3])


@pytest.mark.parametrize(
    ("optimizer", "switched", "slot"), [(row.optimizer, *switch) for row in ROWS for switch in row.switches]
)
def test_an_option_may_be_switched_on_and_saved_at_any_time(optimizer, switched, slot):
    p, q = leaf(3), leaf(3)
    stepping, resumed = optimizer([p], lr=0.1), optimizer([q], lr=0.1)
    descend(stepping, [p], 2)
    assert slot not in stepping.state.get(p, {})
    stepping.param_groups[0].update(switched)
    resumed.load_state_dict(stepping.state_dict())
    q.copy_(p)
    descend(stepping, [p], 2)
    descend(resumed, [q], 2)
    assert slot in stepping.state[p]
    assert_same(snapshot(stepping), snapshot(resumed))
    stepping.param_groups[0].update({name: optimizer([q]).defaults[name] for name in switched})
    descend(stepping, [p])
    assert_same(*(s["param_groups"][0]["lr"] for s in (stepping.state_dict(), resumed.state_dict())))


@every_optimizer
def test_a_state_that_is_cleared_starts_afresh(optimizer, options):
    """In every step, and also where a step is like the one before, which cleared the state too."""
    p = leaf(3)
    stepping = optimizer([p], **options)
    for _ in range(4):
        q = tg.Tensor(p.numpy(), requires_grad=True)
        fresh = optimizer([q], **options)
        descend(stepping, [p])
        descend(fresh, [q])
        assert_same(snapshot(stepping), snapshot(fresh))
        stepping.state.clear()


# Gradients and closures


@every_optimizer
def test_parameters_without_a_gradient_are_left_alone(optimizer, options):
    p, q = leaf(3), leaf(3)
    stepping = optimizer([p, q], **options)
    descend(stepping, [p], 2)
    np.testing.assert_array_equal(q.numpy(), [1, 2, 3])
    assert list(stepping.state_dict()["state"]) == [0]
    q.requires_grad = False
    descend(stepping, [p])
    stepping.zero_grad()
    assert p.grad is None
    before = snapshot(stepping)
    with pytest.warns(
        UserWarning, match=r"\.step: no parameter has a gradient, so nothing is updated; call backward\(\)"
    ):
        assert stepping.step() is None
    assert_same(before, snapshot(stepping))


@every_class
def test_a_closure_is_run_with_recording_on_and_its_loss_returned(optimizer):
    p = leaf(2)
    stepping = optimizer([p], lr=0.1)
    calls = []

    def closure():
        stepping.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        calls.append(loss)
        return loss

    with tg.no_grad():
        loss = stepping.step(closure)
        assert not tg.is_grad_enabled()
    assert len(calls) == 1
    assert calls[0] is loss
    assert loss.item() == 5
    assert not np.array_equal(p.numpy(), [1, 2])


@every_optimizer
def test_a_closure_that_raises_changes_nothing(optimizer, options):
    p = leaf(2)
    stepping = optimizer([p], **options)
    descend(stepping, [p], 2)
    before = snapshot(stepping)

    def closure():
        raise KeyError("no batch")

    with pytest.raises(KeyError, match="no batch"):
        stepping.step(closure)
    assert_same(before, snapshot(stepping))


@every_optimizer
@pytest.mark.parametrize("size", [3, 40_000])
def test_a_graph_that_saved_the_old_values_refuses_backward(optimizer, options, size):
    p, q = tg.ones(size, requires_grad=True), leaf(2)
    stepping = optimizer([p, q], **options)
    stale, linear = (p * p).sum(), (2 * p).sum()
    p.grad = tg.ones(size)
    stepping.step()
    with pytest.raises(RuntimeError, match="overwritten in place"):
        stale.backward()
    stepping.zero_grad()
    linear.backward()
    assert p.grad.tolist() == [2.0] * size
    stepping.zero_grad()
    (p * p).sum().backward()
    np.testing.assert_array_equal(p.grad.numpy(), 2 * p.numpy())


@every_optimizer
def test_a_graph_of_a_skipped_parameter_lives_on(optimizer, options):
    p, q = leaf(3), leaf(3)
    stepping = optimizer([p, q], **options)
    alive = (q * q).sum()
    p.grad = tg.ones(3, dtype=np.float64)
    stepping.step()
    alive.backward()
    np.testing.assert_array_equal(q.grad.numpy(), [2, 4, 6])


# Errors


def read_only():
    array = np.ones(2)
    array.flags.writeable = False
    return tg.from_numpy(array, requires_grad=True)


TWICE = leaf(2)


@every_class
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (list, ValueError, "`params` is empty; give at least one Tensor"),
        (lambda: iter(()), ValueError, "`params` is empty; give at least one Tensor"),
        (lambda: leaf(2), TypeError, "`params` is one Tensor; put it in a list"),
        (lambda: 0.001, TypeError, "`params` is 0.001; the parameters come first"),
        (lambda: {"params": [leaf(2)]}, TypeError, "`params` is one dict; put it in a list"),
        (lambda: [np.ones(2)], TypeError, "parameter 0 of group 0 is a ndarray; it must be a Tensor"),
        (lambda: [leaf(2), None], TypeError, "parameter 1 of group 0 is a NoneType; it must be a Tensor"),
        (lambda: [leaf(2), {"params": [leaf(2)]}], TypeError, "parameter 1 of group 0 is a dict; it must be a Tensor"),
        (lambda: [{"params": [leaf(2)]}, leaf(2)], TypeError, "a parameter group is a Tensor; it must be a dict"),
        (lambda: [leaf(2) * 2], ValueError, "parameter 0 of group 0 is not a leaf but the result of an op"),
        (lambda: [tg.ones(2)], ValueError, "parameter 0 of group 0 does not require a gradient; set requires_grad"),
        (lambda: [tg.Tensor(np.arange(3))], ValueError, "parameter 0 of group 0 does not require a gradient"),
        (lambda: [read_only()], ValueError, "parameter 0 of group 0 is read-only and cannot be updated; copy it"),
        (lambda: [TWICE, leaf(3), TWICE], ValueError, "parameter 2 of group 0 was given before"),
        (lambda: [{"params": TWICE}, {"params": TWICE}], ValueError, "parameter 0 of group 1 was given before"),
        (lambda: [{"params": []}], ValueError, "group 0 has no parameters; give at least one Tensor"),
        (lambda: [{"params": {leaf(2)}}], TypeError, "'params' of group 0 is a set; it must be a list"),
        (lambda: [{"lr": 0.1}], ValueError, "group 0 has no params; it must have 'params'"),
        (lambda: [{"params": [leaf(2)], "rate": 1}], ValueError, "group 0 has 'rate'; it must have 'params' and may have lr"),
        (lambda: [{"params": [leaf(2)], "lr": -1}], ValueError, "`lr` of group 0 is -1; it must be a finite number"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_optimized_are_refused(optimizer, params, error, message):
    with pytest.raises(error, match=re.escape(f"{optimizer.__name__}: {message}")):
        optimizer(params())
    if isinstance(params(), list) and params() and isinstance(params()[0], dict):
        stepping = optimizer([leaf(2)])
        for group in params()[:-1]:
            stepping.add_param_group(group)
        before = copy.copy(stepping.param_groups)
        message = re.sub(r"group \d", lambda m: f"group {len(before)}", message)
        with pytest.raises(error, match=re.escape(message)):
            stepping.add_param_group(params()[-1])
        assert stepping.param_groups == before


BAD = [
    (row.optimizer, {name: value}, error, kind.rule)
    for row in ROWS
    for name, kind in row.options.items()
    for value, error in kind.bad
]


@pytest.mark.parametrize(("optimizer", "option", "error", "rule"), BAD)
def test_options_out_of_range_are_refused_everywhere(optimizer, option, error, rule):
    ((name, value),) = option.items()
    with pytest.raises(error, match=re.escape(f"{optimizer.__name__}: `{name}` is {value!r}; {rule}")):
        optimizer([leaf(2)], **option)
    p, q = leaf(2), leaf(2)
    stepping = optimizer([{"params": p}, {"params": q}], lr=0.1)
    descend(stepping, [p, q])
    before = snapshot(stepping)
    with pytest.raises(error, match=re.escape(f"`{name}` of group 2 is {value!r}; {rule}")):
        stepping.add_param_group({"params": [leaf(2)], **option})
    saved = stepping.state_dict()
    saved["param_groups"][1].update(option)
    with pytest.raises(ValueError, match=re.escape(f"`{name}` of group 1 is {value!r}; {rule}")):
        stepping.load_state_dict(saved)
    assert_same(before, snapshot(stepping))
    good = stepping.param_groups[1][name]
    stepping.param_groups[1].update(option)
    with pytest.raises(error, match=re.escape(f"{optimizer.__name__}: `{name}` of group 1 is {value!r}; {rule}")):
        stepping.step()
    stepping.param_groups[1][name] = good
    assert_same(before, snapshot(stepping))


@pytest.mark.parametrize("optimizer", [row.optimizer for row in ROWS if "betas" in row.options])
def test_options_are_examined_again_when_they_change_where_they_are(optimizer):
    p = leaf(2)
    stepping = optimizer([p], lr=0.1)
    betas = stepping.param_groups[0]["betas"] = [0.5, 0.5]
    descend(stepping, [p], 2)
    before = snapshot(stepping)
    betas[0] = 1.5
    with pytest.raises(ValueError, match="`betas` of group 0 is "):
        stepping.step()
    betas[0] = 0.5
    del stepping.param_groups[0]["lr"]
    with pytest.raises(ValueError, match="`lr` of group 0 is missing"):
        stepping.step()
    stepping.param_groups[0]["lr"] = 0.1
    stepping.param_groups[0]["initial_lr"] = -1.0
    with pytest.raises(ValueError, match="`initial_lr` of group 0 is "):
        stepping.step()
    del stepping.param_groups[0]["initial_lr"]
    np.testing.assert_array_equal(p.numpy(), before[0][0])


@every_class
def test_an_option_under_another_name_stops_the_step(optimizer):
    """Also the last one, whose value stays in its place among the values of the group."""
    p = leaf(2)
    stepping = optimizer([p], lr=0.1)
    descend(stepping, [p], 3)
    before = snapshot(stepping)
    group = stepping.param_groups[0]
    name = list(group)[-1]
    group["other"] = group.pop(name)
    with pytest.raises(ValueError, match=f"{optimizer.__name__}: `{name}` of group 0 is missing"):
        stepping.step()
    group[name] = group.pop("other")
    assert_same(before, snapshot(stepping))


@every_class
def test_an_initial_rate_that_cannot_be_stops_the_step(optimizer):
    p = leaf(2)
    stepping = optimizer([p], lr=0.1)
    descend(stepping, [p], 3)
    before = snapshot(stepping)
    for wrong, error in [(-1.0, ValueError), (None, TypeError)]:
        stepping.param_groups[0]["initial_lr"] = wrong
        with pytest.raises(error, match=f"{optimizer.__name__}: `initial_lr` of group 0 is {wrong}; "):
            stepping.step()
    del stepping.param_groups[0]["initial_lr"]
    assert_same(before, snapshot(stepping))


@pytest.mark.parametrize(
    ("row", "options", "message"), [(row, row.full | change, text) for row in ROWS for change, text in row.conflicts]
)
def test_options_that_conflict_are_refused(row, options, message):
    with pytest.raises(ValueError, match=re.escape(f"{row.name}: {message.format('')}")):
        row.optimizer([leaf(2)], **options)
    with pytest.raises(ValueError, match=re.escape(f"{row.name}: {message.format(' of group 0')}")):
        row.optimizer([{"params": leaf(2), **options}])


@every_optimizer
def test_a_parameter_that_became_read_only_stops_the_step_before_it_begins(optimizer, options):
    p, q = leaf(2), leaf(2)
    stepping = optimizer([p, q], **options)
    p.grad, q.grad = tg.ones(2, dtype=np.float64), tg.ones(2, dtype=np.float64)
    for _ in range(3):
        stepping.step()
    before = snapshot(stepping)
    replaced.freeze(q)
    with pytest.raises(ValueError, match="parameter 1 of group 0 has become read-only"):
        stepping.step()
    assert_same(before, snapshot(stepping))


def test_an_optimizer_needs_a_rule():
    with pytest.raises(TypeError, match="update"):
        Optimizer([leaf(2)], {})


def test_repr_shows_groups_and_options():
    text = repr(SGD([{"params": [leaf(2), leaf(2)]}, {"params": leaf(2), "lr": 0.5}], lr=0.1))
    shared = "momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, maximize=False"
    assert text == f"SGD(2 tensors: lr=0.1, {shared}; 1 tensors: lr=0.5, {shared})"


def test_a_rule_that_is_overridden_is_followed_in_every_step():
    """Also where what it overrides is prepared for steps to come."""

    class Half(SGD):
        def update(self, p, g, state, group, new, t, u):
            super().update(p, 0.5 * g, state, group, new, t, u)

    alone = SGD([tg.Tensor([0.0], requires_grad=True)], lr=1.0)
    alone.update = lambda p, g, *others: SGD.update(alone, p, 0.5 * g, *others)
    for optimizer in (Half([tg.Tensor([0.0], requires_grad=True)], lr=1.0), alone):
        x = optimizer.param_groups[0]["params"][0]
        x.grad = tg.Tensor([1.0])
        for n in range(1, 5):
            optimizer.step()
            assert x.item() == -0.5 * n


def test_a_subclass_may_have_checks_of_its_own():
    class Moving(SGD):
        options: ClassVar = {**SGD.options, "lr": positive}

    class Named(SGD):
        def __init__(self, params, lr: Positive, name: Annotated[str, "what to call it"]):
            super().__init__(params, lr, momentum=0.5)

    for make in (lambda lr: Moving([leaf(2)], lr), lambda lr: Named([leaf(2)], lr, "a")):
        assert make(0.5).defaults.keys() == SGD.options.keys()
        with pytest.raises(ValueError, match="`lr` is 0.0; it must be a finite number above 0"):
            make(0.0)


def test_numbers_that_an_optimizer_of_ones_own_keeps_are_advanced_once_per_step():
    class Slowing(Optimizer):
        options: ClassVar = {"lr": non_negative}
        slots: ClassVar = {"factor": Number(start=1.0)}

        def advance(self, state, group):
            state["factor"] /= 2

        def update(self, p, g, state, group, new, t, u):
            p -= group["lr"] * state["factor"] * g

    x = tg.Tensor(np.zeros(100_000), requires_grad=True)
    slowing = Slowing([x], {"lr": 1.0})
    x.grad = tg.ones(x.shape, dtype=np.float64)
    for n in range(1, 5):
        slowing.step()
        assert slowing.state[x]["factor"] == 0.5**n
        assert set(x.tolist()) == {0.5**n - 1}


@every_optimizer
def test_what_is_prepared_for_steps_to_come_holds_no_optimizer(optimizer, options):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    made = optimizer([x], **options)
    for _ in range(3):
        x.grad = tg.Tensor([1.0, -2.0])
        made.step()
    gone = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert gone() is None
    finally:
        gc.enable()


def test_a_model_or_a_schedule_in_the_place_of_a_list_is_answered():
    model = tg.nn.Linear(1, 1)
    optimizer = tg.optim.SGD(model.parameters())
    for call in (
        lambda: tg.optim.SGD(model),
        lambda: tg.optim.clip_grad_norm_(model, 1.0),
        lambda: tg.optim.clip_grad_value_(model, 1.0),
    ):
        with pytest.raises(
            TypeError, match=r"is Linear\(.*\); the parameters come first, such as model.parameters\(\)"
        ):
            call()
    schedule = tg.optim.StepLR(optimizer, 1)
    with pytest.raises(TypeError, match="ChainedScheduler: `schedulers` is a StepLR; it must be a list of schedules"):
        tg.optim.ChainedScheduler(schedule)
    with pytest.raises(TypeError, match="'verbose'; leave it out"):
        tg.optim.StepLR(optimizer, 1, verbose=True)
    with pytest.raises(TypeError, match=r"'beta_1'; use betas=\(beta_1, beta_2\)"):
        tg.optim.Adam(model.parameters(), beta_1=0.8)


@pytest.mark.parametrize("name", ["lr", "learning_rate"])
def test_a_rate_is_set_in_the_groups(name):
    optimizer = SGD([leaf(2)], lr=0.5)
    with pytest.raises(AttributeError, match=rf"SGD: `{name}` is no attribute.*group\['lr'\] = 0.1"):
        setattr(optimizer, name, 0.1)
    assert optimizer.param_groups[0]["lr"] == 0.5

    class WithRate(SGD):
        learning_rate = 0.0

    mine = WithRate([leaf(2)], lr=0.5)
    mine.learning_rate = 0.25
    assert mine.learning_rate == 0.25


@pytest.mark.parametrize("name", [name for name in tg.optim.__all__ if inspect.isclass(getattr(tg.optim, name))])
def test_help_shows_types_and_no_checks(name):
    assert "function" not in str(inspect.signature(getattr(tg.optim, name)))


def test_a_subclass_with_the_same_constructor_keeps_its_checks():
    class Mine(tg.optim.SGD):
        pass

    with pytest.raises(ValueError, match="Mine: `lr` is -1; it must be a finite number of at least 0"):
        Mine([tg.Tensor(1.0, requires_grad=True)], lr=-1)
