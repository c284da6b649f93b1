"""Record what PyTorch computes for the expressions of synonyms.py: needs PyTorch, run by hand.

python -m tests.record_synonyms
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from .synonyms import ALL, ARRAYS

FILE = Path(__file__).with_name("synonyms.json")


def plain(value: Any) -> list[Any]:
    """A result, as its kind and values that JSON has."""
    if hasattr(value, "tolist"):
        dtype = str(value.dtype).removeprefix("torch.")
        values = (value + 0).real if dtype.startswith("complex") else value
        return ["tensor", dtype, list(value.shape), values.tolist()]
    return ["value", list(value) if isinstance(value, tuple) else value]


def main() -> None:
    """Write the file."""
    import torch

    warnings.simplefilter("ignore")
    names = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    found = {each: plain(eval(each, {"T": torch, "F": torch.nn.functional, **names})) for each in ALL}
    text = json.dumps(found, indent=0)
    FILE.write_text(text + "\n", encoding="utf-8")
    print(f"{len(found)} expressions of PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
