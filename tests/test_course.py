"""The course: every exercise can be solved, and its grader notices an answer that is nearly right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from course.exercises import EXERCISES, Exercise, read
from course.graders import GRADERS, NotSolved, grade

ROOT = Path(__file__).parents[1]
WORDS = 120

# What stands in the solution, and what a student may write instead.
MISTAKES = {
    1: [
        ("(f(x + h) - f(x - h)) / (2 * h)", "(f(x + h) - f(x)) / h"),
        ("h = 1e-5", "h = 1e-3"),
        ("h = 1e-5", "h = 1e-9"),
    ],
    2: [("da = dd + de * b", "da = de * b"), ("df = dL * d", "df = dL * e"), ("db = de * a", "db = a")],
    3: [
        ("a=lambda g, b: g * b", "a=lambda g, b: b"),
        ("a=lambda g, b: g * b,", "a=lambda g, a: g * a,"),
        ("b=lambda g, a: g * a", "b=lambda g, a: g * np.asarray(a)"),
    ],
    4: [
        ("keepdims=True", "keepdims=False"),
        ("return g.sum(axis=stretched, keepdims=True)", "return g.mean(axis=stretched, keepdims=True)"),
        ("tuple(range(added))", "tuple(range(g.ndim - added, g.ndim))"),
    ],
    5: [
        ("tg.where(x > 0, g, 0)", "tg.where(x >= 0, g, 0)"),
        ("tg.where(x > 0, g, 0)", "tg.where(x > 0, 1.0, 0)"),
        ("[0.5, -0.25]", "[0.5, -1.25]"),
    ],
    6: [
        ("b=lambda g, a: a.T @ g", "b=lambda g, a: g.T @ a"),
        ("a=lambda g, b: g @ b.T", "a=lambda g, b: (g @ b) if b.shape[0] == b.shape[1] else g @ b.T"),
        ("b=lambda g, a: a.T @ g", "b=lambda g, a: -(a.T @ g)"),
    ],
    7: [
        ("parent.grad += node.grad * slope", "parent.grad = node.grad * slope"),
        ("in reversed(nodes)", "in nodes"),
        ("parent.grad += node.grad * slope", "parent.grad += slope"),
    ],
    8: [
        ("g * (-2 * x * y)", "g * (-2 * x * np.asarray(y))"),
        ("g * (-2 * x * y)", "g * (-x * y)"),
        ("tg.gradients(slope.sum(), [x])", "tg.gradients((slope * slope).sum(), [x])"),
    ],
    9: [
        ("z = z - z.max(axis=1, keepdims=True)", "z = z - 0"),
        ("[rows, classes].mean()", "[rows, classes].sum()"),
        ("- right) / len(classes)", "- right)"),
    ],
    10: [
        ("y += w[i, j] * x[i:", "y += w[h - 1 - i, k - 1 - j] * x[i:"),
        ("x[i:i + n, j:j + m] += w", "x[i:i + n, j:j + m] = w"),
        ("w[i, j] = (x[i:i + n, j:j + m] * g).sum()", "w[i, j] = (x[i:i + n, j:j + m] * g).mean()"),
    ],
    11: [
        ("right_s = s / (1 - beta2**t)", "right_s = s"),
        ("v = mu * v + g", "v = mu * v + (1 - mu) * g"),
        ("(np.sqrt(right_s) + eps)", "np.sqrt(right_s + eps)"),
    ],
    12: [
        ("optimizer.step()", "pass"),
        ("tg.cross_entropy(model(x), classes)", "-tg.cross_entropy(model(x), classes)"),
        ("loss = loss_of(model, x, classes)", "loss = loss_of(model, x, classes[::-1])"),
    ],
}  # fmt: skip


@pytest.fixture(params=EXERCISES, ids=lambda exercise: exercise.path.stem)
def exercise(request) -> Exercise:
    return request.param


def test_there_are_twelve():
    assert [exercise.number for exercise in EXERCISES] == list(range(1, 13)) == sorted(GRADERS)


def test_it_is_one_screen(exercise):
    assert len(exercise.text.split()) <= WORDS
    assert len(exercise.hints) >= 2
    assert max(map(len, (*exercise.code.splitlines(), *exercise.solution.splitlines()))) <= 88
    assert exercise.path.read_text(encoding="utf-8").splitlines()[exercise.line - 1] == exercise.code.splitlines()[0]


def test_the_code_to_complete_is_that_of_the_solution(exercise):
    """Whoever replaces each ... by what stands there in the solution has solved it."""
    kept = [line for line in exercise.code.splitlines() if "..." not in line]
    solution = exercise.solution.splitlines()
    if exercise.number == 5:  # whose points are to be replaced, too
        kept = kept[:-2]
    found = [line for line in solution if line in kept]
    assert found == kept


@pytest.mark.part(8)
def test_the_solution_is_solved(exercise):
    assert grade(exercise.number, exercise.solution)[0].endswith(".")


def test_the_code_to_complete_is_not(exercise):
    with pytest.raises(NotSolved, match=r"line \d+ still has \.\.\."):
        grade(exercise.number, exercise.code)


@pytest.mark.part(12)
@pytest.mark.parametrize(
    ("number", "right", "wrong"),
    [(number, *pair) for number, pairs in MISTAKES.items() for pair in pairs],
)
def test_a_mistake_is_noticed(number, right, wrong):
    exercise = EXERCISES[number - 1]
    assert exercise.solution.count(right) == 1
    with pytest.raises((NotSolved, RuntimeError, ValueError)):  # the library refuses some rules itself
        print(grade(number, exercise.solution.replace(right, wrong))[0])


def test_an_answer_that_is_none_is_told():
    for answer, message in (
        ("def derivative(f, x):\n    return 'a'\n", "it must be a number"),
        ("def derivative(f, x):\n    pass\n", "is None; it must be a number"),
        ("def slope(f, x):\n    return 1.0\n", "`derivative` is not there any more"),
    ):
        with pytest.raises(NotSolved, match=message):
            grade(1, answer)


def test_an_error_is_in_the_line_of_the_page():
    exercise = EXERCISES[0]
    with pytest.raises(NameError) as error:
        grade(1, exercise.solution.replace("1e-5", "tiny"), str(exercise.path), exercise.line)
    assert "h = " in exercise.path.read_text(encoding="utf-8").splitlines()[error.traceback[-1].lineno]


def test_a_page_of_another_form_is_refused(tmp_path):
    page = tmp_path / "13-more.md"
    for text in ("# More\n", EXERCISES[0].path.read_text(encoding="utf-8") + "\nMore.\n"):
        page.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"13-more\.md must (begin|end) with"):
            read(page)


@pytest.mark.slow
def test_a_classroom_fails_until_it_is_solved(tmp_path):
    answers = tmp_path / "answers"
    course = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "docs/course", f"--answers={answers}"]
    bare = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # which starts sooner
    first = subprocess.run(course, cwd=ROOT, capture_output=True, encoding="utf-8", env=bare)
    assert first.returncode == 1
    assert "12 failed" in first.stdout
    assert "line 3 still has ...; replace it with your code" in first.stdout
    written = {path.name: path.read_text(encoding="utf-8") for path in answers.iterdir()}
    assert written == {f"{exercise.path.stem}.py": exercise.code for exercise in EXERCISES}
    for exercise in EXERCISES:
        (answers / f"{exercise.path.stem}.py").write_text(exercise.solution, encoding="utf-8")
    second = subprocess.run(course, cwd=ROOT, capture_output=True, encoding="utf-8", env=bare)
    assert second.returncode == 0, second.stdout
    assert "12 passed" in second.stdout
