"""Record the keywords of PyTorch's functions and classes, for test_names.py: needs PyTorch, run by hand.

python tests/record_torch_keywords.py

Writes torch_keywords.json beside this file: for the names that exist here too, by namespace. PyTorch's functions in C have no
signature; their docstrings and the table of torch.overrides have one.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import torch
from torch.overrides import get_testing_overrides

import tinygrad_cnn as tg

PLACES = {
    "functional": (tg, [torch, torch.nn.functional]), "linalg": (tg.linalg, [torch.linalg]),
    "Tensor": (tg.Tensor, [torch.Tensor]), "nn": (tg.nn, [torch.nn]), "optim": (tg.optim, [torch.optim]),
    "lr_scheduler": (tg.optim.lr_scheduler, [torch.optim.lr_scheduler]), "data": (tg.data, [torch.utils.data]),
    "Module": (tg.nn.Module, [torch.nn.Module]),
}  # fmt: skip
OVERRIDES = get_testing_overrides()
INTERNAL = {"self", "cudnn_enabled", "names"}


def of_signature(function) -> set[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return set()
    return {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def of_docstring(function) -> set[str]:
    head = rf"^\s*(?:[\w.]+\.)?{re.escape(function.__name__)}\((.*?)\) *->"
    lists = re.findall(head, function.__doc__ or "", re.MULTILINE | re.DOTALL)
    words = [re.split("[=:]", part)[0].strip(" *") for parameters in lists for part in parameters.split(",")]
    return {word for word in words if re.fullmatch(r"[a-zA-Z]\w*", word)}


def keywords(thing) -> set[str]:
    found = of_signature(thing) | of_docstring(thing)
    if thing in OVERRIDES:
        found |= of_signature(OVERRIDES[thing])
    return {name for name in found if name not in INTERNAL and name[0] != "_"}


def main() -> None:
    table = {}
    for label, (ours, theirs) in PLACES.items():
        for name in sorted(dir(ours)):
            things = [getattr(place, name, None) for place in theirs]
            if name[0] == "_" or not callable(getattr(ours, name, None)) or not any(map(callable, things)):
                continue
            found = set().union(*(keywords(thing) for thing in things if callable(thing)))
            absent = sorted(found - of_signature(getattr(ours, name)))
            if absent:
                table.setdefault(label, {})[name] = " ".join(absent)
    text = json.dumps({"made_by": f"PyTorch {torch.__version__}", **table}, indent=1)
    Path(__file__).with_name("torch_keywords.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
