"""Make docs/images/show.png and live.png, pictures of pages for the guides: `python docs/draw_show.py`. It needs Chromium."""

from __future__ import annotations

import shutil
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
    train, test = tg.data.stratified_split(tg.data.TensorDataset(x, digits), [0.8, 0.2], digits, rng=0)
    loader = tg.data.DataLoader(train, batch_size=64, shuffle=True, seed=0)
    held_out = tg.data.DataLoader(test, batch_size=500)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    folder = Path(tempfile.mkdtemp())
    live = tg.training.Live(save=folder / "run.html", serve=False)
    tg.fit(
        model, loader, tg.cross_entropy, optimizer, epochs=60, validate=held_out, progress=False, callbacks=[live],
        scheduler=tg.optim.CosineAnnealingLR(optimizer, T_max=60),
    )  # fmt: skip

    def loss(x: tg.Tensor, y: np.ndarray) -> tg.Tensor:
        return tg.cross_entropy(model(x), y)

    page = tg.show(loss, x[:9], digits[:9], title="A network on nine digits")
    with Chromium() as browser:
        browser.look(1280, 800)
        browser.load(page.save(folder / "graph.html").as_uri())
        convolve = next(node for node in page.data["nodes"] if node["op"] == "convolve")
        browser.click(f"[data-key=g{convolve['group']}] .open rect")
        browser.click(f"[data-key=n{convolve['id']}]")
        for kind, x_at in (("mousePressed", 400), ("mouseMoved", 300), ("mouseMoved", 130), ("mouseReleased", 130)):
            browser.send("Input.dispatchMouseEvent", type=kind, x=x_at, y=600, button="left", buttons=1, clickCount=1)
        browser.picture(ROOT / "docs" / "images" / "show.png")
        browser.look(1280, 1420)
        browser.load((folder / "run.html").as_uri())
        browser.until("document.querySelectorAll('.card').length > 9")
        browser.picture(ROOT / "docs" / "images" / "live.png")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
