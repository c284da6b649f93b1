"""Complete the playground, so that any web server can serve it: add the scripts that draw graphs and trainings, the course, and
the library as a zip file.

    python docs/build_playground.py [OUT] [--pyodide FOLDER] [--pin FOLDER]

OUT is a folder to write the whole playground to, by default docs/playground itself. With --pyodide, Pyodide's files are copied
from a folder, and the page loads them from there instead of from the CDN. With --pin, pyodide.json is written anew for the
distribution in a folder.

To look at it: ``python -m http.server --bind 127.0.0.1 --directory OUT``.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

from course.exercises import EXERCISES

DOCS = Path(__file__).resolve().parent
HERE = DOCS / "playground"
PACKAGE = DOCS.parent / "tinygrad_cnn"
PAGE = (
    "index.html", "style.css", "playground.js", "python.js", "worker.js", "offline.js", "editor.js", "presets.js", "store.js",
    "prose.js", "course.js", "train.js", "digit.js", "plane.js", "gradients.js", "notebook.js",
)  # fmt: skip
COURSE = DOCS / "course"
SHARED = (PACKAGE / "extra" / "show" / "assets", PACKAGE / "extra" / "live" / "assets")
"""Scripts and styles of tg.show and Live, which the page uses as they are."""


def build(out: Path = HERE, pyodide: Path | None = None) -> None:
    """Write the playground to a folder. Files of the same names are replaced.

    Raises:
        FileNotFoundError: if `pyodide` lacks a file.
        ValueError: if a file in `pyodide` is not the one whose hash `pyodide.json` has.
    """
    pinned = json.loads((HERE / "pyodide.json").read_text(encoding="utf-8"))
    found = {} if pyodide is None else {name: _checked(pyodide / name, one) for name, one in pinned["files"].items()}
    out.mkdir(parents=True, exist_ok=True)
    for name in PAGE if out.resolve() != HERE else ():
        shutil.copyfile(HERE / name, out / name)
    for folder in SHARED:
        shutil.copytree(folder, out / "view", dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.html"))
    if found:
        (out / "pyodide").mkdir(exist_ok=True)
        for path in found.values():
            shutil.copyfile(path, out / "pyodide" / path.name)
        pinned["url"] = "pyodide/"
    pinned["library"] = _library(out / "library.zip")
    exercises = [
        {name: getattr(each, name) for name in ("number", "title", "text", "code", "hints", "solution")}
        for each in EXERCISES
    ]
    (out / "course.json").write_text(json.dumps(exercises) + "\n", encoding="utf-8")
    views = sorted(path.relative_to(out).as_posix() for path in (out / "view").rglob("*") if path.is_file())
    pinned["page"] = [
        "config.json",
        "course.json",
        "library.zip",
        *(name for name in PAGE if name != "index.html"),
        *views,
    ]
    (out / "config.json").write_text(json.dumps(pinned, indent=2) + "\n", encoding="utf-8")


def pin(pyodide: Path) -> dict[str, Any]:
    """What pyodide.json says about a distribution: its version, where it lies, and the sizes and hashes of its files.

    Raises:
        FileNotFoundError: if the folder lacks a file.
        ValueError: if its NumPy is not the one of its lock file.
    """
    lock = json.loads((pyodide / "pyodide-lock.json").read_text(encoding="utf-8"))
    version, numpy = (
        json.loads((pyodide / "package.json").read_text(encoding="utf-8"))["version"],
        lock["packages"]["numpy"],
    )
    main = "pyodide.asm.mjs" if (pyodide / "pyodide.asm.mjs").exists() else "pyodide.asm.js"
    files = {}
    for name in ("pyodide.mjs", main, "pyodide.asm.wasm", "python_stdlib.zip", numpy["file_name"]):
        content = (pyodide / name).read_bytes()
        files[name] = {"bytes": len(content), "integrity": _integrity(content)}
    if hashlib.sha256(content).hexdigest() != numpy["sha256"]:
        raise ValueError(f"{name} is not the file whose hash is in pyodide-lock.json")
    return {
        "version": version, "python": lock["info"]["python"], "numpy": numpy["version"],
        "url": f"https://cdn.jsdelivr.net/pyodide/v{version}/full/", "info": {**lock["info"], "version": version},
        "files": files,
    }  # fmt: skip


def _integrity(content: bytes) -> str:
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


def _checked(path: Path, pinned: dict[str, str]) -> Path:
    """The path, if the file has the pinned hash."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give a folder with the files that pyodide.json names")
    found = _integrity(path.read_bytes())
    if found != pinned["integrity"]:
        raise ValueError(
            f"{path} has the hash {found}, but pyodide.json has {pinned['integrity']}; take the pinned version"
        )
    return path


def _library(path: Path) -> dict[str, int]:
    """The library and the page's own Python as a zip file, the same bytes for the same files. Returns its size."""
    sources = {
        file: f"{folder.name}/{file.relative_to(folder).as_posix()}"
        for folder in (PACKAGE, HERE / "playground")
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    sources |= {COURSE / name: f"course/{name}" for name in ("__init__.py", "graders.py")}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, name in sources.items():
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return {"bytes": path.stat().st_size}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("out", type=Path, nargs="?", default=HERE, help="the folder to write")
    parser.add_argument("--pyodide", type=Path, help="a folder with Pyodide's files, to be used instead of the CDN")
    parser.add_argument(
        "--pin", type=Path, help="a folder with another Pyodide, for which pyodide.json is written anew"
    )
    arguments = parser.parse_args()
    try:
        if arguments.pin:
            (HERE / "pyodide.json").write_text(json.dumps(pin(arguments.pin), indent=2) + "\n", encoding="utf-8")
        build(arguments.out, arguments.pyodide)
    except (OSError, ValueError) as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
