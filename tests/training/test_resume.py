"""A run that was stopped anywhere and resumed equals one that was not, to the bit."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.training import Callback, Checkpoint, EachStep, EarlyStopping

from .common import Parts, assert_same, measures

EPOCHS, STEPS = 3, 6  # and the batches in an epoch


pytestmark = pytest.mark.usefixtures("sigint")


class StopAt(Callback):
    """Stops after a step, or presses Ctrl-C."""

    def __init__(self, step, ctrl_c=False):
        self.step, self.ctrl_c = step, ctrl_c

    def on_step_end(self, run):
        if run.step == self.step:
            signal.raise_signal(signal.SIGINT) if self.ctrl_c else run.stop("told to")


def schedules(optimizer):
    return {
        "none": lambda: None,
        "epoch": lambda: tg.optim.ExponentialLR(optimizer, 0.7),
        "step": lambda: EachStep(tg.optim.OneCycleLR(optimizer, 0.05, total_steps=EPOCHS * STEPS)),
        "plateau": lambda: tg.optim.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5),
    }


def run(seed=0, schedule="none", validate=False, **arguments):
    """What is left of a training from this seed: its state and its history."""
    parts = Parts(seed)
    history = parts.fit(
        epochs=EPOCHS,
        scheduler=schedules(parts.optimizer)[schedule](),
        validate=parts.validate if validate else None,
        **arguments,
    )
    return parts.state(), measures(history)


uninterrupted = cache(run)  # what it returns depends on its arguments alone


@pytest.mark.parametrize("compile", [False, True])
@settings(max_examples=min(8, settings.default.max_examples // 2))
@given(
    at=st.integers(1, EPOCHS * STEPS),
    schedule=st.sampled_from(["none", "epoch", "step", "plateau"]),
    validate=st.booleans(),
    ctrl_c=st.booleans(),
)
def test_stopped_after_any_step(tmp_path_factory, compile, at, schedule, validate, ctrl_c):
    path = tmp_path_factory.mktemp("resume") / "run.npz"
    same = {"schedule": schedule, "validate": validate, "compile": compile}
    whole = uninterrupted(**same)
    halted = {"callbacks": [Checkpoint(path, every=100), StopAt(at, ctrl_c)], **same}
    if ctrl_c:
        with pytest.raises(KeyboardInterrupt, match="run.npz"):
            run(**halted)
    else:
        run(**halted)
    assert_same(run(seed=1, resume=path, **same), whole)


@pytest.mark.parametrize("first", [False, True])
def test_a_compiled_run_goes_on_eagerly_and_the_other_way_round(tmp_path, first):
    path = tmp_path / "run.npz"
    run(compile=first, callbacks=[Checkpoint(path), StopAt(8)])
    assert_same(run(seed=1, compile=not first, resume=path), run())


def test_a_second_pause(tmp_path):
    path = tmp_path / "run.npz"
    run(callbacks=[Checkpoint(path), StopAt(4)])
    run(seed=1, callbacks=[Checkpoint(path), StopAt(11)], resume=path)
    assert_same(run(seed=2, resume=path), run())


def test_interrupted_during_validation(tmp_path):
    """The training of the epoch is kept, and its validation begun again with the same batches."""

    def trained(seed, press=None, **arguments):
        parts = Parts(seed)
        seen = []

        def transform(images):
            seen.append(images)
            if len(seen) == press:
                signal.raise_signal(signal.SIGINT)
            return images

        held_out = tg.data.DataLoader(parts.validate.dataset, batch_size=8, shuffle=True, seed=5, transform=transform)
        return measures(parts.fit(validate=held_out, **arguments)), held_out.state_dict()

    path = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt, match="interrupted after step 6 of epoch 2"):
        trained(0, press=5, callbacks=[Checkpoint(path)])  # the second of three batches in the second epoch
    saved = tg.load(path)
    assert saved["run"]["trained"]
    assert saved["run"]["history"]["loss"] == trained(0, epochs=1)[0]["loss"]
    assert_same(trained(1, resume=path), trained(0))


def test_a_loader_without_a_state_is_taken_to_give_the_same_batches(tmp_path):
    def trained(**arguments):
        parts = Parts()
        batches = list(parts.loader)
        parts.loader = batches
        parts.fit(**arguments)
        return parts.model.state_dict()

    whole = trained()
    trained(callbacks=[Checkpoint(tmp_path / "run.npz"), StopAt(9)])
    assert_same(trained(resume=tmp_path / "run.npz"), whole)


def test_early_stopping_goes_on_counting(tmp_path):
    def trained(*more, epochs=12, **arguments):
        parts = Parts()
        stopping = EarlyStopping(patience=2, metric="val_loss")
        history = parts.fit(epochs=epochs, validate=parts.validate, callbacks=[stopping, *more], **arguments)
        return parts.model.state_dict(), measures(history)

    whole, history = trained()
    halfway = len(history["loss"]) - 1
    trained(Checkpoint(tmp_path / "run.npz"), StopAt(halfway * STEPS))
    assert_same(trained(resume=tmp_path / "run.npz"), (whole, history))


def test_a_run_that_was_done_trains_no_more(tmp_path):
    path = tmp_path / "run.npz"
    done = run(callbacks=[Checkpoint(path)])
    assert_same(run(seed=1, resume=path), done)


def test_more_epochs_than_before(tmp_path):
    path = tmp_path / "run.npz"
    Parts().fit(epochs=1, callbacks=[Checkpoint(path)])
    assert_same(run(seed=1, resume=path), run())


def test_what_does_not_fit_is_refused_and_nothing_changes(tmp_path):
    path = tmp_path / "run.npz"
    Parts().fit(epochs=1, callbacks=[Checkpoint(path)])
    parts = Parts(3)
    parts.optimizer = tg.optim.SGD(parts.model.parameters(), lr=0.1)
    before = parts.state()
    with pytest.raises(ValueError, match="nothing was loaded"):
        parts.fit(resume=path)
    assert_same(parts.state(), before)
    with pytest.raises(ValueError, match="the state has no scheduler"):
        run(schedule="epoch", resume=path)


SCRIPT = """
import sys, time
sys.path.insert(0, {root!r})
import tinygrad_cnn as tg
from tests.training.common import Parts

class Slow(tg.training.Callback):
    def on_step_end(self, run):
        print("step", run.step, flush=True)
        time.sleep(0.05)

Parts().fit(epochs=100, compile=False, callbacks=[Slow(), tg.training.Checkpoint("run.npz")])
print("not reached")
"""


@pytest.mark.slow
def test_ctrl_c_in_a_program_saves_says_how_to_resume_and_ends_it_by_the_signal(tmp_path):
    root = str(Path(__file__).parents[2])
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(SCRIPT.format(root=root)), encoding="utf-8")
    program = subprocess.Popen(
        [sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    for line in program.stdout:
        if line == "step 8\n":
            program.send_signal(signal.SIGINT)
            break
    out, err = program.communicate(timeout=60)
    assert program.returncode == -signal.SIGINT
    assert "not reached" not in out
    state = tg.load(tmp_path / "run.npz")
    step = state["run"]["step"]
    assert step >= 8
    last = err.strip().splitlines()[-1]
    assert last == (
        f"KeyboardInterrupt: interrupted after step {step - 6} of epoch 2; saved; "
        "to resume, call fit(..., resume='run.npz')"
    )
    resumed = Parts(5)
    resumed.fit(resume=tmp_path / "run.npz")
    state = resumed.state()
    whole = Parts()
    whole.fit()
    assert_same(state, whole.state())
