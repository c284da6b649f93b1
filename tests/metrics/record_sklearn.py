"""Record scikit-learn's measures of drawn scores for test_classes.py: needs scikit-learn, run by hand.

python -m tests.metrics.record_sklearn
"""

from __future__ import annotations

import json
from pathlib import Path

from .drawn import cases, drawn, rare

FILE = Path(__file__).with_name("sklearn.json")


def main() -> None:
    """Write the file."""
    import sklearn.metrics

    found = {}
    for name, kind, _, make in cases():
        measure = make(sklearn.metrics)
        output, target, weight = drawn(kind, 0)
        found[name] = [
            measure(output, target),
            measure(output, target, weight),
            measure(*(drawn(kind, 1, 12)[:2] if name.endswith("None") else rare(kind))),
        ]
    FILE.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
    print(f"{len(found)} measures of scikit-learn {sklearn.__version__}")


if __name__ == "__main__":
    main()
