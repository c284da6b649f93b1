"""The exercises, graded. `pytest docs/course` fails until they are solved.

Complete the code on the pages themselves, or in files: ``pytest docs/course --answers=mine`` writes them to the folder
``mine``, and from then on grades what is there.
"""

from __future__ import annotations

import pytest

from .exercises import EXERCISES, Exercise
from .graders import NotSolved, grade


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.path.stem)
def test_solved(exercise: Exercise, request: pytest.FixtureRequest) -> None:
    path, source, line = exercise.path, exercise.code, exercise.line
    if folder := request.config.getoption("--answers", default=None):
        path, line = folder / f"{path.stem}.py", 1
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(source, "utf-8")
        source = path.read_text("utf-8")
    try:
        print(grade(exercise.number, source, str(path), line)[0])
    except NotSolved as error:
        pytest.fail(f"{exercise.title}: {error}", pytrace=False)
