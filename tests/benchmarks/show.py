"""How soon the page of a graph can be used, and what `Live` costs.

    python -m tests.benchmarks.show            print both tables
    python -m tests.benchmarks.show --quick    with fewer rounds

A page is interactive when the frame after its first drawing is there. The time is counted from the start of its loading over
file://, the least of several. The cost of `Live` is the processor time of a training, with its server, per step, beside that
of one without `Live`: the least mean of several trainings. "Page open" is with a browser that looks at the graph. The browser's
own time is not counted. Pages need Chromium.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tinygrad_cnn as tg
from tests.browser.chromium import Chromium, executable
from tinygrad_cnn import nn
from tinygrad_cnn.extra.show import Page

FRAME = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


def chain(count: int) -> Page:
    """About so many nodes without modules."""
    x = tg.Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(count // 2):
        y = y * x + 0.1
    return tg.show(y)


def residual(blocks: int) -> Page:
    """A ResNet with its loss."""
    model = nn.models.ResNet(blocks=(blocks,) * 3)
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)

    def loss(x: tg.Tensor, y: np.ndarray) -> tg.Tensor:
        return tg.cross_entropy(model(x), y)

    return tg.show(loss, x, np.array([0, 1]))


PAGES: dict[str, Callable[[], Page]] = {
    "100 nodes": lambda: chain(100),
    "ResNet-20": lambda: residual(3),
    "ResNet-98": lambda: residual(16),
}


def interactive(rounds: int) -> None:
    """Print how soon pages can be used."""
    print("| page | nodes | show and save, s | size, MB | interactive, s | all groups open, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with Chromium() as browser, tempfile.TemporaryDirectory() as folder:
        for name, make in PAGES.items():
            began = time.perf_counter()
            page = make()
            path = page.save(Path(folder) / "graph.html")
            made = time.perf_counter() - began
            ready, opened = [], []
            for _ in range(rounds):
                browser.load(path.as_uri())
                ready.append(browser.run(f"(async () => document.querySelector('.box') && {FRAME})()") / 1000)
                open_all = "document.querySelector('[title=\"open all groups\"]')?.click()"
                began = time.perf_counter()
                browser.run(f"({open_all}, {FRAME})")
                opened.append(time.perf_counter() - began)
            size = path.stat().st_size / 1e6
            print(
                f"| {name} | {len(page.data['nodes']):,} | {made:.2f} | {size:.2f} | {min(ready):.2f} | {min(opened):.2f} |"
            )


def _steps(callbacks: list[tg.training.Callback], seconds: float) -> float:
    """The processor time of a step of a small network, compiled: the mean over a training of so many seconds."""

    class Watch(tg.training.Callback):
        cost = float("nan")

        def on_epoch_end(self, run: tg.training.Run) -> None:
            if run.epoch == 3:  # all is compiled
                self.began, self.spent, self.first = time.perf_counter(), time.process_time(), run.step
            elif run.epoch > 3 and time.perf_counter() - self.began > seconds:
                self.cost = (time.process_time() - self.spent) / (run.step - self.first)
                run.stop("enough")

    tg.manual_seed(0)
    images, digits = tg.data.digits()
    x = (images[:, None] / 16).astype(np.float32)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 10)
    )
    loader = tg.data.DataLoader(tg.data.TensorDataset(x, digits), batch_size=64, shuffle=True, seed=0)
    watch = Watch()
    tg.fit(
        model, loader, tg.cross_entropy, tg.optim.Adam(model.parameters(), lr=1e-3), epochs=1_000_000,
        callbacks=[*callbacks, watch], progress=False,
    )  # fmt: skip
    return watch.cost


def cost(rounds: int, seconds: float) -> None:
    """Print the time of a step without `Live`, with it, and with its page open."""
    without, closed, opened = [], [], []
    for _ in range(rounds):
        without.append(_steps([], seconds))
        live = tg.training.Live()
        closed.append(_steps([live], seconds))
        if executable() is not None:
            with Chromium() as browser:
                browser.load(live.address)
                browser.run("document.querySelector('.graph').scrollIntoView()")
                opened.append(_steps([live], seconds))
        live.close()
    base = min(without)
    print(
        "\n| digits, a small network, compiled | a step, processor time in us | beside no Live |\n| --- | ---: | ---: |"
    )
    for name, times in (("without", without), ("with Live", closed), ("with its page open", opened)):
        if times:
            print(f"| {name} | {min(times) * 1e6:.0f} | {min(times) / base:.3f} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    quick = parser.parse_args().quick
    if executable() is None:
        print("There is no Chromium: pages are left out.")
    else:
        interactive(1 if quick else 3)
    cost(1 if quick else 3, 4.0 if quick else 15.0)


if __name__ == "__main__":
    main()
