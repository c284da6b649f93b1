"""Install the package with its tests and an old, a new or a nightly NumPy into this Python, and run the quick tests.

Other arguments go to pytest.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NIGHTLY = "https://pypi.anaconda.org/scientific-python-nightly-wheels/simple"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numpy", choices=["oldest", "newest", "nightly"], default="newest")
    options, others = parser.parse_known_args()
    oldest = re.search(r'"numpy>=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {
        "oldest": [f"numpy=={oldest[1]}"],
        "newest": [],
        "nightly": ["--pre", "--extra-index-url", NIGHTLY, "numpy"],
    }
    python = [sys.executable, "-m"]
    subprocess.run([*python, "pip", "install", "-q", "-e", ".[test]", *wanted[options.numpy]], cwd=ROOT, check=True)
    subprocess.run([*python, "pytest", "-q", "-n", "auto", *others], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
