"""What the benchmarks compare is the same work, and their tables say what was measured. Nothing is timed here."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels.table import LINES, Line

from .benchmarks import ablation, measure, problems, report
from .benchmarks.libraries import handwritten, ours
from .benchmarks.measure import Effort, Figure, Outcome
from .benchmarks.record import Record, machine, read, save
from .benchmarks.rows import BY_NAME, ROWS, SIDES


@given(st.integers(1, 6), st.integers(0, 99))
@example(1, 63)  # all but meets a large target
def test_the_step_by_hand_descends_as_ours(images, seed):
    problem = problems.notebook(images)
    # A loss that stays finite when every weight has taken several steps: each gradient shows in the next loss.
    problem = replace(problem, x=problem.x[::-1] * (1 + seed / 100), target=problem.target + seed)
    eager, compiled, by_hand = (
        ours.notebook(problem),
        ours.notebook(problem, compiled=True),
        handwritten.notebook(problem),
    )
    # The loss is a mean of squared differences, so its root carries the rounding of what was subtracted, however small it is.
    rounding = float(64 * np.finfo(np.float32).eps * np.abs(problem.target).max())
    for _ in range(5):
        loss = eager()
        assert math.sqrt(by_hand()) == pytest.approx(math.sqrt(loss), rel=0, abs=rounding)
        assert compiled() == loss


def test_a_side_that_does_other_work_is_refused(monkeypatch):
    row = BY_NAME["notebook-2"]
    measure.agree(row, ["eager", "numpy"])
    honest = handwritten.notebook
    monkeypatch.setattr(handwritten, "notebook", lambda p: honest(replace(p, x=p.x * 1.1)))
    with pytest.raises(AssertionError, match="notebook-2: eager and numpy differ"):
        measure.agree(row, ["eager", "numpy"])


def test_every_row_has_its_functions():
    for row in ROWS:
        for side in {side for pair in row.targets for side in pair}:
            if SIDES[side].installed:
                assert callable(getattr(SIDES[side].load(), row.work)), (row.name, side)


def test_every_kernel_names_its_row():
    for line in LINES:
        assert line.row in BY_NAME or line.row in ablation.FUNCTIONS, line
        assert line.why or line.gain >= ablation.least(line.op), line


def test_a_kernel_that_gains_nothing_is_told(monkeypatch, capsys):
    """The time of a definition and a kernel, which sleep instead of computing, on the arrays of a row."""
    op = tg.relu.op
    monkeypatch.setattr(ablation, "OWN", [Line(op, "perceptron", 9.0, "")])
    monkeypatch.setattr(ablation, "seconds", lambda call, least: 1.0)
    monkeypatch.setattr("sys.argv", ["ablation", "--lines", "relu,pointwise", "--steps", "perceptron"])
    prepare = op.prepare
    ablation.main()
    assert op.prepare is prepare
    told = capsys.readouterr().out
    assert "perceptron                1.00 (9)" in told
    assert "pointwise.py: pointwise 1.00\nbelow the limits:\nrelu: no reason given" in told
    monkeypatch.setattr(ablation, "seconds", lambda call, least: 2.0 if getattr(call, "func", None) is op.raw else 1.0)
    ablation.main()
    assert "each earns its place" in capsys.readouterr().out


def test_sides_take_turns(monkeypatch):
    monkeypatch.setattr(measure, "PAUSE", 0)
    monkeypatch.setattr(measure, "calibrate", lambda: 1.0)
    order = []
    effort = Effort(turns=3, seconds=0, warm_up=2)
    keys = [("eager", 0), ("numpy", 0)]
    turns = {key: measure.Turn(key, lambda side=key[0]: order.append(side), effort) for key in keys}
    times, calibration = measure.alternate(turns, effort)
    assert order == ["eager"] * 2 + ["numpy"] * 2 + ["eager", "numpy"] * 3
    assert [len(values) for values in times.values()] == [3, 3]
    assert calibration == [1.0] * 4  # before every turn and after the last


@pytest.mark.slow  # starts three processes
def test_sides_apart_have_a_process_each():
    found = measure.compare("notebook-2", "numpy", Effort(turns=2, seconds=0.01, apart=True))
    assert list(found.figures) == ["compiled", "numpy"]
    assert all(figure.median > 0 for figure in found.figures.values())


def _record(ours_takes: float, disturbed: bool = False, where: str | None = None) -> Record:
    record = Record(where or machine())
    figures = {"eager": Figure(ours_takes, 0.1), "compiled": Figure(ours_takes, 0.1), "pytorch": Figure(1.0, 0.1)}
    record.add(Outcome("mnist", "pytorch", figures, [0.01], disturbed))
    return record


@given(st.floats(0.1, 10), st.booleans())
def test_the_table_shows_which_targets_are_missed(ours_takes, disturbed):
    table = report.tables(_record(ours_takes, disturbed))
    for target in (1.3, 1.0):
        missed = f"**{ours_takes:.2f}** (≤ {target:g})" in table
        assert missed == (ours_takes > target)
    assert ("†" in table) == disturbed
    assert "notebook" not in table  # what was not measured has no line


def test_records_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "images" / "performance.json"
    record = _record(0.5, disturbed=True)
    save(record, path)
    assert read(path) == record
    assert record.day != ""


def test_what_was_measured_with_other_versions_is_dropped(tmp_path, capsys):
    path = tmp_path / "performance.json"
    save(_record(0.5, where=f"{machine().split(',')[0]}, numpy 1.0"), path)
    assert read(path) == Record(machine())
    assert "numpy 1.0" in capsys.readouterr().out


def test_tables_replace_those_on_the_page_and_nothing_else(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        report.write(_record(0.5), page)
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"before\n{report.START}\n")
        assert text.endswith(f"{report.END}\nafter\n")
        assert "old" not in text
        assert text.count("MNIST") == 1
        assert machine() in text
    report.write(Record(machine()), page)
    assert page.read_text(encoding="utf-8") == f"before\n{report.START}\n\n{report.END}\nafter\n"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(2.0, "2.00 s"), (0.0123, "12.3 ms"), (0.456, "456 ms"), (5.68e-5, "56.8 µs"), (1e-7, "0.10 µs")],
)
def test_times_have_three_digits_and_a_unit(seconds, shown):
    assert report.show(Figure(seconds, 0.05), ROWS[0]) == f"{shown} (5%)"
