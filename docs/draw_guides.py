"""Draw the pictures of the guides with the code that stands above them: `python docs/draw_guides.py` (needs matplotlib)."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"^```python(?: needs matplotlib)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Run the blocks of every guide that saves a picture, and keep what they save."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if ".savefig(" not in text:
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            names: dict[str, object] = {"__name__": page.stem}
            for block in BLOCK.finditer(text):
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(block[1], str(page), "exec"), names)
            for picture in sorted(Path().glob("*.png")):
                shutil.move(picture, DOCS / "images" / picture.name)
                print(f"{page.name}: {picture.name}, {os.path.getsize(DOCS / 'images' / picture.name) / 1e3:.0f} kB")


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))
    main()
