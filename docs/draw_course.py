"""Make docs/images/course-*.png, pictures of the course: `python docs/draw_course.py PYODIDE`. It needs Chromium and Pillow.

PYODIDE is a folder with Pyodide's files, as .ci/pyodide makes it.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from build_playground import build  # noqa: E402
from course.exercises import EXERCISES  # noqa: E402
from PIL import Image  # noqa: E402

from tests.browser.chromium import Chromium  # noqa: E402
from tests.browser.playground import press, ready, write  # noqa: E402
from tests.browser.server import served  # noqa: E402


def main(pyodide: Path) -> None:
    """Solve four exercises, make a mistake in the fifth, and take pictures on a desktop and on a phone."""
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        build(Path(folder), pyodide)
        with served(Path(folder)) as address:
            browser.look(1280, 800)
            browser.load(address)
            ready(browser)
            answers = [each.solution for each in EXERCISES[:4]] + [EXERCISES[4].solution.replace("-0.25", "-1.5")]
            for number, answer in enumerate(answers, 1):
                browser.run(f"document.querySelector('.exercises [data-number=\"{number}\"]').click()")
                write(browser, "#panel-course textarea", answer)
                press(browser, "Check", "course")
                browser.until("/^(Not yet|✓ Solved)/.test(document.querySelector('.answered').innerText)")
            browser.run("document.activeElement.blur(); scrollTo(0, 0)")
            for name, width, height in (("desktop", 1280, 800), ("phone", 390, 844)):
                browser.look(width, height)
                path = ROOT / "docs" / "images" / f"course-{name}.png"
                browser.picture(path)
                with Image.open(path) as image:
                    small = image.convert("RGB").quantize(48, dither=Image.Dither.NONE)
                small.save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
