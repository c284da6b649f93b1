"""Record torchvision's pictures for test_pictures.py, and compare ours with them. It needs torchvision and is run by hand.

python tests/vision/record_pictures.py
"""

from pathlib import Path

import numpy as np
import torch
import torchvision
from pictures import BOXES, GRIDS, MASKS, arrays

import tinygrad_cnn as tg


def main() -> None:
    data = {"made_by": np.array(f"torchvision {torchvision.__version__}")}
    for name, table in (("make_grid", GRIDS), ("draw_bounding_boxes", BOXES), ("draw_segmentation_masks", MASKS)):
        for n, (keys, options) in enumerate(table):
            given = [arrays()[key] for key in keys]
            wanted = getattr(torchvision.utils, name)(*(torch.from_numpy(a) for a in given), **options).numpy()
            data[f"{name}/{n}"] = wanted
            ours = getattr(tg.vision.utils, name)(*given, **options)
            print(name, keys, options, np.abs(ours.astype(float) - wanted).max(), ours.dtype == wanted.dtype)
    np.savez_compressed(Path(__file__).parent / "pictures.npz", **data)


if __name__ == "__main__":
    main()
