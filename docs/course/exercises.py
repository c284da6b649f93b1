"""Reads the pages of the course. A page has a title, a text, code to complete, hints, and a solution."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
HEAD = re.compile(r"# (?P<number>\d+)\. (?P<title>[^\n]+)\n\n(?P<text>.+?)\n\n```python\n(?P<code>.*?)```\n", re.DOTALL)
HIDDEN = re.compile(r"\n<details>\n<summary>(?P<name>[^<]+)</summary>\n\n(?P<content>.+?)\n\n</details>\n", re.DOTALL)


@dataclass(frozen=True)
class Exercise:
    """One page. `line` is that of the first line of the code on the page, from 1."""

    path: Path
    number: int
    title: str
    text: str
    code: str
    line: int
    hints: tuple[str, ...]
    solution: str


def read(path: Path) -> Exercise:
    """The exercise on a page.

    Raises:
        ValueError: if the page has another form.
    """
    page = path.read_text("utf-8")
    head = HEAD.match(page)
    if head is None:
        raise ValueError(f"{path} must begin with a title such as '# 3. Name', a text and a block of Python")
    rest = page[head.end() :]
    hidden = [(found["name"], found["content"]) for found in HIDDEN.finditer(rest)]
    if HIDDEN.sub("", rest).strip() or [name for name, _ in hidden if not name.startswith("Hint ")] != ["Solution"]:
        raise ValueError(f"{path} must end with hints and one solution, each in <details> with a <summary>")
    return Exercise(
        path=path,
        number=int(head["number"]),
        title=head["title"],
        text=head["text"],
        code=head["code"],
        line=page[: head.start("code")].count("\n") + 1,
        hints=tuple(content for name, content in hidden if name != "Solution"),
        solution=hidden[-1][1].removeprefix("```python\n").removesuffix("```"),
    )


EXERCISES = tuple(read(path) for path in sorted(FOLDER.glob("[0-9][0-9]-*.md")))
