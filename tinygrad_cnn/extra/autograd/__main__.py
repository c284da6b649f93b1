"""Run a script that says ``import autograd``: ``python -m tinygrad_cnn.extra.autograd script.py [argument ...]``.

``-m module`` instead of a script runs a module, such as pytest.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from . import install


def main() -> None:
    """Install this package as ``autograd``, and run the script or module as Python would."""
    arguments = sys.argv[1:]
    if not arguments or (arguments[0] == "-m" and len(arguments) < 2):
        sys.exit("usage: python -m tinygrad_cnn.extra.autograd (script.py | -m module) [argument ...]")
    install()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
