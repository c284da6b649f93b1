"""Record torchvision's ops for test_ops.py, and compare ours with them. It needs torchvision and is run by hand.

python tests/vision/record_ops.py
"""

from pathlib import Path

import numpy as np
import torch
import torchvision.ops as theirs

from tinygrad_cnn.vision import ops as ours


def main() -> None:
    rng = np.random.default_rng(0)

    def boxes(n: int, size: float = 20.0) -> np.ndarray:
        corner = rng.uniform(0, size, (n, 2))
        return np.concatenate([corner, corner + rng.uniform(0.5, size / 2, (n, 2))], axis=1)

    data = {"made_by": np.array(f"torchvision {torch.__version__}"), "boxes1": boxes(4), "boxes2": boxes(5)}
    a, b = (torch.tensor(data[key], requires_grad=True) for key in ("boxes1", "boxes2"))
    y = theirs.complete_box_iou(a, b)
    data["weights"] = rng.normal(size=tuple(y.shape))
    (y * torch.tensor(data["weights"])).sum().backward()
    data |= {"pairs": y.detach().numpy(), "pairs1": a.grad.numpy(), "pairs2": b.grad.numpy()}
    a, b = (torch.tensor(data[key][:4], requires_grad=True) for key in ("boxes1", "boxes2"))
    loss = theirs.complete_box_iou_loss(a, b, reduction="sum")
    loss.backward()
    data |= {"loss": loss.detach().numpy(), "loss1": a.grad.numpy()}

    data["maps"] = rng.normal(size=(3, 2, 9, 11))
    data["rois"] = np.concatenate([rng.integers(0, 3, (8, 1)), boxes(8) * 2.5 - 4], axis=1)
    maps, rois = torch.tensor(data["maps"]), torch.tensor(data["rois"])
    for aligned in (False, True):
        data[f"aligned {aligned}"] = theirs.roi_align(maps, rois, (3, 2), 0.25, -1, aligned).numpy()
    data["pooled"] = theirs.roi_pool(maps, rois, (3, 2), 0.1).numpy()
    np.savez_compressed(Path(__file__).parent / "ops.npz", **data)

    for n in (1, 30, 400):  # not recorded: the definition is plain
        found, kinds = boxes(n).astype(np.float32), rng.integers(0, 4, n)
        scores = (rng.integers(0, 50, n) / 50).astype(np.float32)
        for threshold in (0.2, 0.5, 0.7):
            wanted = theirs.batched_nms(*map(torch.tensor, (found, scores, kinds)), threshold)
            assert wanted.tolist() == ours.batched_nms(found, scores, kinds, threshold).tolist()
            wanted = theirs.nms(torch.tensor(found), torch.tensor(scores), threshold)
            assert wanted.tolist() == ours.nms(found, scores, threshold).tolist()
    for groups, moved, stride, padding, dilation in ((1, 1, 1, 0, 1), (2, 2, (2, 1), (1, 2), (1, 2)), (2, 4, 1, 0, 1)):
        x, w = rng.normal(size=(2, 4, 7, 8)), rng.normal(size=(6, 4 // groups, 3, 2))
        shape = torch.nn.functional.conv2d(
            torch.tensor(x), torch.tensor(w), None, stride, padding, dilation, groups
        ).shape  # fmt: skip
        offset, mask = rng.normal(size=(2, moved * 12, *shape[2:])) * 2, rng.random((2, moved * 6, *shape[2:]))
        wanted = theirs.deform_conv2d(
            *map(torch.tensor, (x, offset, w)), None, stride, padding, dilation, torch.tensor(mask)
        )  # fmt: skip
        found = ours.deform_conv2d(x, offset, w, None, stride, padding, dilation, mask)
        print("deform_conv2d", np.abs(found - wanted.numpy()).max())


if __name__ == "__main__":
    main()
