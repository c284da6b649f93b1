"""Write files of torch.save, in both of its formats, for test_torch_files.py. It needs PyTorch and is run by hand.

python tests/io/record_torch_files.py
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn


def main() -> None:
    torch.manual_seed(0)
    base = torch.arange(12, dtype=torch.float64)
    kinds = [
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
    ]
    state = OrderedDict(
        {str(kind).removeprefix("torch."): torch.tensor([[0, 1, 2], [3, -4, 5]]).to(kind) for kind in kinds}
    )
    state["uint8"], state["bool"] = torch.tensor([0, 255], dtype=torch.uint8), torch.tensor([True, False])
    state |= {"part": base[3:7], "transposed": base.view(3, 4).T, "strided": base[1::3], "whole": base}
    state |= {"empty": torch.zeros(0, 3), "scalar": torch.tensor(2.5), "parameter": nn.Parameter(torch.tensor([1.5]))}
    nested = {"model": state, "epoch": 3, "lr": [0.1, (True, None)], "name": "a state", "size": torch.Size([2, 3])}
    folder = Path(__file__).parent / "saved"
    torch.save(nested, folder / "torch_zip.pth")
    torch.save(nested, folder / "torch_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(nn.Linear(2, 1).state_dict(), folder / "torch_linear.pth")  # with the versions of its modules
    torch.save(nn.Linear(2, 1), folder / "torch_module.pth")  # names a class


if __name__ == "__main__":
    main()
