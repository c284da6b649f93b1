"""Write the tables of the guides into docs/_generated: `python docs/make_tables.py`. The site's build does so, too.

A guide shows a table with ``{include} _generated/NAME.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

from extensions import numpy_names, torch_names  # noqa: E402

from tests.benchmarks import accuracy  # noqa: E402
from tests.onnx import tables as onnx_tables  # noqa: E402
from tinygrad_cnn.testing.kinks import KINKS  # noqa: E402

GENERATED = DOCS / "_generated"


def subgradients() -> str:
    """A row for each kink."""
    lines = ["| function | at | gradient | second derivative | why |", "| --- | --- | --- | --- | --- |"]
    for label, point, subgradient, second, reason in KINKS:
        cells = [", ".join(map(_shown, point)), ", ".join(map(_shown, subgradient)), _shown(second)]
        lines.append(f"| `{label}` | {' | '.join(cells)} | {reason} |")
    return "\n".join(lines)


def _shown(value: object) -> str:
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, list | tuple) else f"{value:g}"


def float32() -> str:
    """The errors of float32, as measured on this machine, beside PyTorch's if it is installed."""
    return "\n".join(accuracy.table()[0])


TABLES: dict[str, Callable[[], str]] = {
    "torch": torch_names.tables,
    "torch_works": torch_names.synonyms,
    "numpy": numpy_names.tables,
    "mygrad": numpy_names.mygrad_tables,
    "subgradients": subgradients,
    "operators": onnx_tables.lists,
    "accuracy": float32,
}


def write(folder: Path = GENERATED) -> None:
    """Write every table; measure the accuracy again only if a source of the library is newer than its table."""
    folder.mkdir(exist_ok=True)
    sources = [*(DOCS.parent / "tinygrad_cnn").rglob("*.py"), Path(accuracy.__file__)]
    newest = max(path.stat().st_mtime for path in sources)
    for name, make in TABLES.items():
        path = folder / f"{name}.md"
        if make is float32 and path.exists() and path.stat().st_mtime > newest:
            continue
        path.write_text(make().rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
