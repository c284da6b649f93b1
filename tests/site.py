"""The site, built once: by Sphinx, or the folder that the environment variable TINYGRAD_CNN_SITE names."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@functools.cache
def built() -> Path:
    """The folder of the pages. Tests that ask for it are skipped where Sphinx is missing."""
    if given := os.environ.get("TINYGRAD_CNN_SITE"):
        return Path(given).absolute()
    missing = [name for name in ("sphinx", "furo", "myst_parser", "scipy") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"no {missing[0]}: pip install . --group docs, or name a built site in the variable TINYGRAD_CNN_SITE"
        )
    out = Path(tempfile.mkdtemp(prefix="site-"))
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", DOCS, out], check=True)
    return out
