"""Make docs/images/show.png, the picture of `tg.show` in the guide: `python docs/draw_show.py`. It needs Chromium."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import tinygrad_cnn as tg  # noqa: E402
from tests.browser.chromium import Chromium  # noqa: E402
from tinygrad_cnn import nn  # noqa: E402


def main() -> None:
    """Train a small network for a moment, so that its filters look like something, and take its picture."""
    tg.manual_seed(0)
    images, digits = tg.data.digits()
    x = (images[:, None] / 16).astype(np.float32)
    model = nn.Sequential(
        nn.Conv2d(1, 9, 3), nn.BatchNorm2d(9), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(81, 10)
    )
    loader = tg.data.DataLoader(tg.data.TensorDataset(x, digits), batch_size=64, shuffle=True, seed=0)
    tg.fit(model, loader, tg.cross_entropy, tg.optim.Adam(model.parameters(), lr=0.01), epochs=3, progress=False)

    def loss(x: tg.Tensor, y: np.ndarray) -> tg.Tensor:
        return tg.cross_entropy(model(x), y)

    page = tg.show(loss, x[:9], digits[:9], title="A network on nine digits")
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        browser.look(1280, 800)
        browser.load(page.save(Path(folder) / "graph.html").as_uri())
        convolve = next(node["id"] for node in page.data["nodes"] if node["op"] == "convolve")
        browser.click(f"[data-key=n{convolve}]")
        for kind, x_at in (("mousePressed", 400), ("mouseMoved", 300), ("mouseMoved", 130), ("mouseReleased", 130)):
            browser.send("Input.dispatchMouseEvent", type=kind, x=x_at, y=600, button="left", buttons=1, clickCount=1)
        browser.picture(ROOT / "docs" / "images" / "show.png")


if __name__ == "__main__":
    main()
