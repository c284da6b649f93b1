"""Run docs/notebook.ipynb and keep what its cells show: `python docs/run_notebook.py [FILE]` (needs nbclient and ipykernel).

With FILE, the notebook stays as it is, and the result goes there.

Pages of `show` and `Live` are left out of the file: they are larger than the rest, and hosts of notebooks do not run them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

PATH = Path(__file__).resolve().with_name("notebook.ipynb")


def run() -> Any:
    """The notebook with what its cells show now. An error in a cell is raised."""
    notebook = nbformat.read(PATH, as_version=4)
    root = str(PATH.parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    kernel = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": root}}, record_timing=False)
    kernel.execute()
    return notebook


def main() -> None:
    """Run it, and write the result."""
    notebook = run()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "<iframe" in output.get("data", {}).get("text/html", ""):
                del output["data"]["text/html"]
    to = Path(sys.argv[1]) if sys.argv[1:] else PATH
    nbformat.write(notebook, to)
    print(f"{to.name}: {to.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
