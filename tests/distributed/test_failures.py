"""One rank fails; the others end in time and say which, where and when, and the last checkpoint is whole."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tg

from .common import Job, finished, needs_mpi

pytestmark = needs_mpi
TIMEOUT = 10
"""Seconds, which the programs give to World where a rank does not answer. Elsewhere they give it more than LATEST."""
SLACK = 60
"""Seconds that a busy machine may take for what is no waiting."""
LATEST = TIMEOUT + SLACK


def failed(folder, ranks, *arguments, program="failing.py"):
    """What a program prints in which a rank fails, and how many seconds after that all have ended."""
    job = Job(folder, ranks, program, *arguments)
    job.wait_for(folder / "failed")
    began = time.monotonic()
    code, output = job.end()
    assert code != 0, output
    return output, time.monotonic() - began


def resumed(folder, ranks):
    """The result of a training that goes on from the checkpoint of one that has failed."""
    finished(folder, ranks, "failing.py", "never", 0, 0)
    return {(folder / f"rank{rank}.txt").read_text(encoding="utf-8") for rank in range(ranks)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The result of a training without a failure."""
    return resumed(tmp_path_factory.mktemp("whole"), 1)


@pytest.mark.parametrize(("ranks", "who"), [(2, 0), (3, 1), (4, 3)])
def test_an_exception(tmp_path, whole, ranks, who):
    output, seconds = failed(tmp_path, ranks, "raise", who, 23)
    assert seconds < LATEST
    line = f"rank {who} on {os.uname().nodename}, at step 23, raised ValueError: no good"
    assert f"DistributedError: {line}" in output
    assert line in (tmp_path / "run.failures.txt").read_text(encoding="utf-8")
    assert tg.load(tmp_path / "run.npz")["run"]["step"] == 20, "the step of the last epoch that was saved"
    assert resumed(tmp_path, 2) == whole
    assert not (tmp_path / "run.failures.txt").exists(), "a new training begins without failures"


def test_an_exit(tmp_path):
    output, seconds = failed(tmp_path, 2, "exit", 1, 5)
    assert seconds < LATEST
    assert "at step 5, raised SystemExit: 0" in output


@pytest.mark.parametrize("who", [0, 2])
def test_an_exception_in_a_loop_of_ones_own(tmp_path, who):
    """It is raised outside of what World does."""
    output, seconds = failed(tmp_path, 3, "raise", who, program="own.py")
    assert seconds < LATEST
    line = f"rank {who} on {os.uname().nodename}, at step 2, raised ValueError: no good"
    assert output.count(f"DistributedError: {line}") == 2
    assert (tmp_path / "run.failures.txt").read_text(encoding="utf-8").count(line) == 3


@pytest.mark.parametrize(
    ("how", "first", "second"),
    [
        ("mean", "rank 0 at step 3", "rank 1 at the mean after step 2"),
        ("any", "rank 0 at step 3", "rank 1 in any, at step 2"),
    ],
)
def test_ranks_that_make_different_calls(tmp_path, how, first, second):
    output, seconds = failed(tmp_path, 2, how, 1, program="own.py")
    assert seconds < LATEST
    expected = f"DistributedError: the ranks wait for different things: {first}, {second}."
    assert expected in output, output


def test_a_rank_that_is_late(tmp_path):
    """It answers from where it was, before it comes to where the other rank waits."""
    assert finished(tmp_path, 2, "late.py") == ""


@pytest.mark.parametrize(("how", "who"), [("stop", 0), ("stop", 2), ("hang", 1)])
def test_a_rank_that_does_not_answer(tmp_path, whole, how, who):
    output, seconds = failed(tmp_path, 3, how, who, 23)
    assert 0.5 * TIMEOUT < seconds < LATEST
    line = f"rank {who} on {os.uname().nodename} did not answer for {TIMEOUT} s"
    assert f"DistributedError: {line}" in output
    assert "at step 23" in output
    assert line in (tmp_path / "run.failures.txt").read_text(encoding="utf-8")
    assert resumed(tmp_path, 1) == whole


def report_of(folder):
    """What the monitor has written. It may exit a moment after the launcher."""
    until, file = time.monotonic() + SLACK, folder / "run.failures.txt"
    while not file.exists() or monitors(folder):
        assert time.monotonic() < until, "there is no report, or the monitor still runs"
        time.sleep(0.01)
    return file.read_text(encoding="utf-8")


def monitors(folder):
    """The command lines of the monitors of trainings in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode().split("\0")
            found += [words] if f"{folder}/run.failures.txt" in words else []
    return found


def killed(who, step):
    """The report of a rank that was killed at a step."""
    place = rf"rank {who} on {re.escape(os.uname().nodename)},( in any,)? at step {step}"
    return re.compile(
        rf"\S+ \S+ {place}, was the first rank of its host to end, and reported no error: it was killed, or crashed\n"
    )


@pytest.mark.parametrize(("ranks", "who"), [(2, 1), (3, 0)])
def test_a_rank_that_is_killed_ends_all(tmp_path, whole, ranks, who):
    """The launcher kills the others at once; the monitor reports which rank was the first."""
    _, seconds = failed(tmp_path, ranks, "kill", who, 23)
    assert seconds < LATEST
    assert killed(who, 23).fullmatch(report_of(tmp_path))
    assert resumed(tmp_path, 2) == whole
    assert not (tmp_path / "run.failures.txt").exists(), "a new training begins without failures"
    assert not monitors(tmp_path)


@settings(max_examples=min(4, settings.default.max_examples // 4))
@given(st.integers(2, 4), st.floats(0, 0.2), st.data())
def test_a_rank_that_is_killed_at_any_moment_is_named(tmp_path_factory, ranks, seconds, data):
    folder, who = tmp_path_factory.mktemp("moment"), data.draw(st.integers(0, ranks - 1))
    job = Job(folder, ranks, "failing.py", "killed", who, 0)
    job.wait_for(folder / "run.npz")
    time.sleep(seconds)
    job.kill(who)
    step = int((folder / "step").read_text(encoding="utf-8"))
    if step == 60:
        return  # it was finished before
    assert killed(who, f"({step - 1}|{step}|{step + 1})").fullmatch(report_of(folder))


@pytest.mark.parametrize("who", [0, 1])
def test_where_a_rank_cannot_connect_to_the_monitor_no_rank_is_reported(tmp_path, who):
    failed(tmp_path, 2, "unseen", who, 5)
    assert not (tmp_path / "run.failures.txt").exists()
    assert not monitors(tmp_path)


def test_a_training_without_failure_leaves_no_monitor_and_no_report(tmp_path):
    job = Job(tmp_path, 3, "failing.py", "killed", 0, 0)
    job.wait_for(tmp_path / "run.npz")
    seen = len(monitors(tmp_path))
    code, output = job.end()
    assert (code, seen) == (0, 1), output
    assert not (tmp_path / "run.failures.txt").exists()
    until = time.monotonic() + SLACK
    while monitors(tmp_path):
        assert time.monotonic() < until
        time.sleep(0.01)


@settings(max_examples=min(4, settings.default.max_examples // 4))
@given(st.integers(1, 59), st.sampled_from(["raise", "exit", "kill", "stop"]), st.integers(2, 4), st.data())
def test_any_rank_at_any_step(tmp_path_factory, whole, at, how, ranks, data):
    """Whatever fails and when: it goes on from the last checkpoint, on another number of ranks, to the same bits."""
    folder = tmp_path_factory.mktemp("any")
    who = data.draw(st.integers(0, ranks - 1))
    _, seconds = failed(folder, ranks, how, who, at)
    assert seconds < LATEST
    report = report_of(folder)
    assert killed(who, at).fullmatch(report) if how == "kill" else "without a word" not in report
    assert resumed(folder, data.draw(st.integers(1, 4))) == whole


@pytest.mark.parametrize("who", [0, 2])
def test_ctrl_c_on_one_rank_ends_all_after_the_step(tmp_path, whole, who):
    output, _ = failed(tmp_path, 3, "interrupt", who, 23)
    assert output.count("KeyboardInterrupt: interrupted after step 3 of epoch 3; saved; to resume, call") == 3
    assert tg.load(tmp_path / "run.npz")["run"]["step"] == 23
    assert not (tmp_path / "run.failures.txt").exists()
    assert resumed(tmp_path, 4) == whole


def test_ctrl_c_of_the_launcher(tmp_path, whole):
    job = Job(tmp_path, 3, "failing.py", "never", 0, 0)
    job.wait_for(tmp_path / "run.npz")
    job.process.send_signal(signal.SIGINT)
    code, output = job.end()
    if code == 0:
        pytest.skip("it was finished before the signal came")
    assert "KeyboardInterrupt: interrupted after" in output
    assert resumed(tmp_path, 2) == whole


def test_one_rank_that_wants_to_stop_stops_all(tmp_path):
    job = Job(tmp_path, 3, "failing.py", "wish", 1, 23)
    code, output = job.end()
    assert code == 0, output
    assert tg.load(tmp_path / "run.npz")["run"]["step"] == 23


def test_a_rank_that_changes_its_model_is_found(tmp_path):
    output, _ = failed(tmp_path, 3, "change", 2, 23)
    assert "DistributedError: the model has other values on rank 2 than on rank 0 after step 30" in output
