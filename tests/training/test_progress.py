"""What training shows, in a terminal and elsewhere."""

from __future__ import annotations

import io
import re
import sys
from itertools import pairwise

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.training import Callback, EarlyStopping, Progress
from tinygrad_cnn.training import progress as module

from .common import Parts, assert_same

NUMBER = r"\d+\.\d{4}"
LINE = re.compile(
    rf"epoch (\d)/3  loss {NUMBER}  accuracy {NUMBER}  val_loss {NUMBER}  val_accuracy {NUMBER}  [\d,]+ images/s  "
    r"(\d+:\d\d left|\d+\.\d s)"
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, **arguments):
    parts = Parts()
    parts.fit(validate=parts.validate, callbacks=[Progress(stream, **arguments)])
    return stream.getvalue()


def test_a_file_gets_a_plain_line_for_each_epoch():
    lines = shown(io.StringIO()).splitlines()
    matches = [LINE.fullmatch(line) for line in lines]
    assert [match[1] for match in matches] == ["1", "2", "3"]
    assert [match[2].endswith("left") for match in matches] == [True, True, False]


def test_fit_writes_to_standard_output_unless_told_to_be_quiet(capsys):
    Parts().fit(progress=True)
    assert len(capsys.readouterr().out.splitlines()) == 3
    Parts().fit(progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("columns", [40, 200])
def test_a_terminal_gets_a_line_that_is_rewritten_and_stands_after_the_epoch(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    text = shown(Terminal(), bar=False)
    epochs = text.split("\n")
    assert epochs.pop() == ""
    assert len(epochs) == 3
    for number, epoch in enumerate(epochs, start=1):
        first, *lines = epoch.split("\r")
        assert first == ""
        assert len(lines) == 7, "six steps and the end"
        assert all(line.startswith(f"epoch {number}/3  loss ") for line in lines)
        assert all(len(line) < columns for line in lines[:-1]), "a line that wraps could not be rewritten"
        assert LINE.match(lines[-1])
        for line, following in pairwise(lines):
            assert len(following) >= len(line.rstrip()), "a shorter line would leave the end of a longer one standing"


def test_a_terminal_gets_a_bar_if_there_is_tqdm(monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    text = shown(Terminal())
    for number in (1, 2, 3):
        assert re.search(rf"epoch {number}/3  loss {NUMBER}.*images/s.*[█▏#]", text)
    assert "Error" not in text


@pytest.mark.parametrize("columns", [0, 1, 20, 60, 300])
@pytest.mark.parametrize("bar", [True, False])
def test_a_terminal_of_any_width_shows_the_whole_line_of_an_epoch(monkeypatch, columns, bar):
    """Width 0 is that of a terminal whose size nobody has set: in containers, and of programs that run others in one."""
    pty, termios = map(pytest.importorskip, ("pty", "termios"))
    if bar:
        pytest.importorskip("tqdm")
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    monkeypatch.setenv("COLUMNS", str(columns))
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        with open(theirs, "w", encoding="utf-8") as stream:
            termios.tcsetwinsize(stream, (0, columns))
            monkeypatch.setattr(sys, "stdout", stream)  # of which tqdm asks the number of rows, too
            parts = Parts()
            parts.fit(epochs=1, validate=parts.validate, callbacks=[Progress(bar=bar)])
            stream.write("end")
        written = b""
        while not written.endswith(b"end"):
            written += terminal.read(1024)
    text = written.removesuffix(b"end").decode()
    assert text.endswith("\r\n")
    *lines, last = text.removesuffix("\r\n").split("\r")
    assert re.match(LINE.pattern.replace("/3", "/1"), last)
    assert len(lines) >= 6
    assert max(map(len, lines)) < max(columns or 80, 2)
    assert ("█" in last or "#" in last) is bar


def test_without_tqdm_a_bar_that_was_asked_for_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_cnn\[progress\]'"):
        Progress(bar=True)
    assert shown(Terminal()).count("\n") == 3


def test_why_it_stopped_is_the_last_line():
    stream = io.StringIO()
    parts = Parts()
    stopping = EarlyStopping(1, "val_loss", min_delta=100.0)
    parts.fit(validate=parts.validate, callbacks=[Progress(stream), stopping])
    last = stream.getvalue().splitlines()[-1]
    assert re.fullmatch(rf"stopped in epoch 2: val_loss was not better than {NUMBER}, of epoch 1, for 1 epoch", last)


def test_the_line_is_finished_when_training_fails(monkeypatch):
    class Failing(Callback):
        def on_step_end(self, run):
            raise ArithmeticError

    monkeypatch.setattr(module, "INTERVAL", 0.0)
    stream = Terminal()
    with pytest.raises(ArithmeticError):
        Parts().fit(callbacks=[Progress(stream, bar=False), Failing()])
    assert stream.getvalue().endswith("\n")


def test_a_loader_that_does_not_know_its_length_has_no_time_left():
    class Endless:
        def __init__(self, loader):
            self.loader = loader

        def __iter__(self):
            return iter(self.loader)

    stream = io.StringIO()
    parts = Parts()
    parts.loader = Endless(parts.loader)
    parts.fit(callbacks=[Progress(stream)])
    assert "left" not in stream.getvalue()
    assert stream.getvalue().count("images/s") == 3


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (5.4, "0:05"), (59.7, "1:00"), (754, "12:34"), (3723, "1:02:03")]
)
def test_clock(seconds, text):
    assert module.clock(seconds) == text


def test_progress_changes_nothing():
    quiet = Parts()
    quiet.fit()
    state = quiet.state()
    loud = Parts()
    loud.fit(callbacks=[Progress(io.StringIO())])
    assert_same(loud.state(), state)


class Noisy(tg.nn.Module):
    def __init__(self, noise):
        self.linear, self.noise = tg.nn.Linear(2, 1), noise

    def forward(self, x):
        return self.linear(x) + (np.random.normal() if self.noise else 0)  # noqa: NPY002


@pytest.mark.parametrize("noise", [False, True])
def test_the_first_line_says_what_is_compiled(noise, capsys):
    x = np.ones((4, 2), np.float32)
    model = Noisy(noise)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.01)
    tg.fit(model, [(x, x[:, :1])] * 3, tg.mse, optimizer, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "steps are compiled"
    assert len(lines) == 3
