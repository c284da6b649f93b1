"""Methods of callbacks that would never be called, or not as their author thinks: `fit` refuses them before it begins."""

from __future__ import annotations

import re

import pytest

from tinygrad_cnn.training import Callback

from .common import Parts, assert_same

METHODS = [
    ("on_batch_end", "self, batch, logs=None", "use on_step_end(run)"),
    ("on_train_batch_end", "self, batch, logs=None", "use on_step_end(run)"),
    ("on_training_start", "self", "use on_fit_begin(run)"),
    ("on_train_end", "self, logs=None", "use on_fit_end(run)"),
    ("on_after_backward", "self, trainer, module", "use on_gradients(run)"),
    ("on_validation_batch_end", "self, *args", "use on_validation_batch(run, parts, output)"),
    ("on_epochs_end", "self, run", "use on_epoch_end(run)"),
    ("onEpochEnd", "self, run", "use on_epoch_end(run)"),
    ("epoch_end", "self, run", "use on_epoch_end(run)"),
    ("after_fit", "self", "use on_fit_end(run)"),
    ("on_load", "self", "The hooks are on_fit_begin, on_epoch_begin, on_gradients, on_step_end, on_validation_begin, "),
    ("on_epoch_end", "self, epoch, logs=None", "its `epoch` would be the run; that is run.epoch; it is called as on_epoch_end"),
    ("on_fit_end", "self, logs=None", "there are no `logs`"),
    ("on_step_end", "self, trainer, module", "takes (trainer, module) (missing a required argument: 'module')"),
    ("on_step_end", "self", "takes () (too many positional arguments); it is called as on_step_end(run)"),
    ("on_step_end", "", "takes () (too many positional arguments)"),
    ("on_validation_batch", "self, run", "it is called as on_validation_batch(run, parts, output)"),
]  # fmt: skip


def derived(name, parameters, body="pass", prefix=""):
    names: dict[str, object] = {}
    exec(f"{prefix}def {name}({parameters}): {body}", names)
    return type("Mine", (Callback,), {name: names[name]})()


def refused(callback, answer):
    parts = Parts()
    before = parts.state()
    with pytest.raises(TypeError, match=re.escape(answer)) as caught:
        parts.fit(callbacks=[callback])
    assert str(caught.value).startswith(f"fit: `callbacks` has a {type(callback).__name__} ")
    assert_same(parts.state(), before)


@pytest.mark.parametrize(("name", "parameters", "answer"), METHODS)
def test_a_method_that_would_not_be_called_is_refused(name, parameters, answer):
    refused(derived(name, parameters), answer)


@pytest.mark.parametrize(
    ("body", "prefix"), [("yield", ""), ("await run", "async "), ("yield", "async ")], ids=["yield", "async", "both"]
)
def test_a_hook_whose_body_would_not_run_is_refused(body, prefix):
    refused(
        derived("on_step_end", "self, run", body, prefix), "is a coroutine or a generator, whose body would not run"
    )


def test_attributes_of_an_object_are_hooks_too():
    callback = Callback()
    callback.on_step_end = None
    refused(callback, "whose on_step_end is None and no method")
    callback = Callback()
    callback.on_batch_end = print
    refused(callback, "use on_step_end(run)")


def test_a_state_that_would_not_be_loaded_is_refused():
    refused(derived("state_dict", "self", "return {'steps': 3}"), "define both")


def test_hooks_may_be_of_any_kind_that_can_be_called():
    called = []

    class Mixed(Callback):
        on_what = "a value"
        step = 3

        def _on_batch_end(self): ...

        def begin(self): ...

        def on_fit_begin(self, *args):
            called.append("fit")

        @staticmethod
        def on_epoch_begin(run):
            called.append("epoch")

        @classmethod
        def on_step_end(cls, run, *, more=None):
            called.append("step")

    callback = Mixed()
    callback.on_epoch_end = lambda run, called=called: called.append("end")
    Parts(examples=8).fit(callbacks=[callback], epochs=1)
    assert called == ["fit", "epoch", "step", "end"]


class AtEnd(Callback):
    def __init__(self, function):
        self.function = function

    def on_epoch_end(self, run):
        self.function(run)


@pytest.mark.parametrize("name", ["stop", "stop_training", "should_stop"])
def test_a_wish_to_stop_that_is_set_instead_of_called_is_refused(name):
    with pytest.raises(
        AttributeError, match=r"a callback sets stop to True, which would change nothing; call run.stop\(reason\)"
    ):
        Parts(examples=8).fit(callbacks=[AtEnd(lambda run: setattr(run, name, True))])


@pytest.mark.parametrize("reason", [("",), ()])
def test_a_wish_to_stop_needs_no_reason(reason):
    assert Parts(examples=8).fit(callbacks=[AtEnd(lambda run: run.stop(*reason))]).epochs == 1


def test_a_callback_may_change_the_number_of_epochs():
    assert Parts(examples=8).fit(epochs=5, callbacks=[AtEnd(lambda run: setattr(run, "epochs", 2))]).epochs == 2


@pytest.mark.parametrize("name", ["model", "optimizer", "loss"])
def test_what_the_steps_use_cannot_be_replaced(name):
    with pytest.raises(ValueError, match=f"a callback has replaced run.{name}, and the steps use the old one"):
        Parts(examples=8).fit(callbacks=[AtEnd(lambda run: setattr(run, name, Parts().model))])
