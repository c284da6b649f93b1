"""Write docs/api/names.md, every public name with the first line of its text: `python docs/list_names.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from extensions import names  # noqa: E402

PAGE = DOCS / "api" / "names.md"
HEAD = """# All names

Every public name, page by page, with the first line of its text; `help(tg.conv2d)` prints all of it.
`python docs/list_names.py` writes this page.
"""


def first_line(thing: object) -> str:
    """The first sentence of a docstring, without its roles."""
    text = re.split(r"\n\s*\n|(?<=\.)\s", names.doc(thing), maxsplit=1)[0]
    return re.sub(r":[\w:]+:`~?(?:[\w.]*\.)?([^`]*)`", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def listing() -> str:
    """The page."""
    out = [HEAD]
    for name, entries in names.pages().items():
        if not entries:
            continue
        title = (DOCS / "api" / name).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        out += [f"## {title}", "", "| name | |", "| --- | --- |"]
        out += [f"| `{entry.shown}` | {first_line(entry.thing)} |" for entry in entries]
        out.append("")
    return "\n".join(out)


if __name__ == "__main__":
    PAGE.write_text(listing(), encoding="utf-8")
