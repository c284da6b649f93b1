"""The page of a training, while it runs and when it was saved."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.extra.live import live as module

COUNT = "document.querySelectorAll('.card').length"
SELDOM = {"LAYER_SHARE": 0.05, "GRAPH_SHARE": 0.01}
"""For the rest of a training whose page was seen: what `often` measures takes ten times as long as the steps."""


@pytest.fixture
def often(tuning):
    """Measure often, so that a short training shows everything."""
    tuning(module, LEAST=0.05, TICK=0.05, LAYER_SHARE=1.0, GRAPH_SHARE=1.0)


class Training:
    """A training in a thread, which takes one step whenever it is told to."""

    def __init__(self, live, epochs=30):
        tg.manual_seed(0)
        images, digits = tg.data.digits()
        x = (images[:, None] / 16).astype(np.float32)
        self.model = nn.Sequential(
            nn.Conv2d(1, 9, 3), nn.BatchNorm2d(9), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(81, 10)
        )
        optimizer = tg.optim.Adam(self.model.parameters(), lr=0.003)
        loader = tg.data.DataLoader(
            tg.data.TensorDataset(x[:1200], digits[:1200]), batch_size=100, shuffle=True, seed=0
        )
        held_out = tg.data.DataLoader(tg.data.TensorDataset(x[1200:], digits[1200:]), batch_size=300)
        self.history = None
        self.stop = threading.Event()
        training = self

        class Gate(tg.training.Callback):
            def on_step_end(self, run):
                training.pause.wait()
                if training.stop.is_set():
                    run.stop("the test is over")

        def work():
            self.history = tg.fit(
                self.model, loader, tg.cross_entropy, optimizer, epochs=epochs, validate=held_out,
                callbacks=[live, Gate()], progress=False,
                scheduler=tg.optim.CosineAnnealingLR(optimizer, T_max=epochs),
            )  # fmt: skip

        self.pause = threading.Event()
        self.pause.set()
        self.thread = threading.Thread(target=work)
        self.thread.start()

    def end(self, stop=False):
        if stop:
            self.stop.set()
        self.pause.set()
        self.thread.join()


@pytest.fixture
def live(tmp_path):
    made = tg.training.Live(save=tmp_path / "run.html")
    yield made
    made.close()


def started(live):
    training = Training(live)
    while not live.address:
        time.sleep(0.001)
    return training


def test_the_page_follows_a_training(browser, live, often, tuning, capfd):
    training = started(live)
    browser.load(live.address)
    for title in ("loss by step", "loss by epoch", "Layers", "First filters", "Confusion matrix", "Worst mistakes"):
        browser.until(f"[...document.querySelectorAll('h2')].some(h => h.textContent === '{title}')")
    first = browser.text(".state")
    assert "running" in first
    browser.until(f"document.querySelector('.state').innerText !== {first!r}")
    browser.until("/epoch \\d+ of 30/.test(document.querySelector('.state').innerText)")
    browser.until("/ left/.test(document.querySelector('.state').innerText)")
    rows = browser.run("[...document.querySelectorAll('.layers tbody th')].map(e => e.firstChild.textContent)")
    assert rows == [name for name, _ in training.model.named_parameters()]
    browser.run("document.querySelector('.graph').scrollIntoView()")
    browser.until("document.querySelectorAll('.graph .box').length > 3")
    widths = "new Set([...document.querySelectorAll('.graph .edges path')].map(p => p.style.strokeWidth)).size"
    assert browser.run(widths) > 2
    tuning(module, **SELDOM)
    training.end()
    browser.until("/finished/.test(document.querySelector('.state').innerText)")
    shown = browser.run("document.querySelector('.legend').innerText.split('\\n')")
    assert any("loss" in text for text in shown)
    card = (
        "[...document.querySelectorAll('.card')].find(c => c.querySelector('h2').textContent === 'accuracy by epoch')"
    )
    browser.until(f"{card}.querySelector('.at').textContent === 'epoch 30'")
    assert f"validation {training.history['val_accuracy'][-1]:.4g}" in browser.run(
        f"{card}.querySelector('.legend').textContent"
    )
    counts = browser.run(
        "[...document.querySelectorAll('.confusion td')].reduce((sum, td) => sum + Number(td.textContent), 0)"
    )
    assert counts == 597


def test_a_browser_that_comes_late_has_everything_and_one_that_goes_away_is_not_missed(browser, live, often, tuning):
    training = started(live)
    browser.load(live.address)
    browser.until(f"{COUNT} > 3")
    browser.load("about:blank?")
    tuning(module, **SELDOM)
    training.end()
    browser.load(live.address)
    browser.until("/finished/.test(document.querySelector('.state').innerText)")
    card = "[...document.querySelectorAll('.card')].find(c => c.querySelector('h2').textContent === 'loss by epoch')"
    assert browser.run(f"{card}.querySelector('.at').textContent") == "epoch 30"
    path = browser.run(f"{card}.querySelector('path').getAttribute('d')")
    assert path.count("L") == 29  # all epochs


def test_a_lost_connection_is_told(chromium, live, often):
    training = started(live)
    chromium.look()
    chromium.load(live.address)
    chromium.until(f"{COUNT} > 3")
    assert chromium.run("document.querySelector('.lost').hidden")
    training.end(stop=True)
    shown = chromium.run(COUNT)
    live.close()
    chromium.until("!document.querySelector('.lost').hidden")
    assert "The connection is lost" in chromium.text(".lost")
    assert chromium.run(COUNT) >= shown  # what was there stays


def test_what_is_brought_up_to_date_stays_scrolled_focused_and_chosen(browser, live, often):
    training = started(live)
    browser.look(500, 900)
    browser.load(live.address)
    browser.until("!!document.querySelector('.layers') && !!document.querySelector('.confusion')")
    browser.run("document.querySelector('.graph').scrollIntoView()")
    browser.until("document.querySelectorAll('.graph .box').length > 3")

    def brought_up_to_date(selector):
        browser.run(f"window.old = document.querySelector('{selector}')")
        browser.until(f"window.old !== document.querySelector('{selector}')")

    browser.run("(e => { e.scrollLeft = 60; e.focus(); })(document.querySelector('.scroll:has(.layers)'))")
    brought_up_to_date(".layers")
    table = "document.querySelector('.scroll:has(.layers)')"
    assert browser.run(f"[{table}.scrollLeft, {table} === document.activeElement]") == [60, True]
    loss = ".graph .box[aria-label^=cross_entropy]"
    browser.run(f"(e => e.dispatchEvent(new MouseEvent('click', {{bubbles: true}})))(document.querySelector('{loss}'))")
    browser.run(f"document.querySelector('{loss}').focus()")
    key = browser.run("document.activeElement.dataset.key")
    brought_up_to_date(loss)
    assert browser.run("document.activeElement.dataset.key") == key
    assert browser.text(".graph .side h2") == "cross_entropy"
    training.end(stop=True)

    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))  # a second run at the same address, with a smaller graph
    x, y = np.ones((40, 1, 8, 8), np.float32), np.zeros(40, int)
    loader = tg.data.DataLoader(tg.data.TensorDataset(x, y), batch_size=20)

    class Wait(tg.training.Callback):
        def on_step_end(self, run):
            stop.wait(0.05)
            if stop.is_set():
                run.stop("the test is over")

    stop = threading.Event()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    more = threading.Thread(
        target=tg.fit, args=(model, loader, tg.cross_entropy, optimizer),
        kwargs={"epochs": 1000, "callbacks": [live, Wait()], "progress": False},
    )  # fmt: skip
    more.start()
    browser.until("![...document.querySelectorAll('.graph .box')].some(e => /conv/i.test(e.textContent))")
    assert browser.run("document.querySelector('.graph .side').hidden")
    browser.until("document.querySelector('.graph .edges path').style.strokeWidth !== ''")
    stop.set()
    more.join()


def test_the_saved_page_needs_no_server(browser, live, often, tmp_path):
    training = started(live)
    training.end()
    live.close()
    browser.load((tmp_path / "run.html").as_uri())
    browser.until(f"{COUNT} >= 10")
    assert "finished" in browser.text(".state")
    browser.until("document.querySelectorAll('.graph .box').length > 3")
    browser.run("document.querySelector('.graph .box').dispatchEvent(new MouseEvent('click', {bubbles: true}))")
    assert browser.text(".graph .side h2")
    assert browser.requests() == [(tmp_path / "run.html").as_uri()]


def test_charts_tell_the_value_under_the_pointer(browser, tmp_path):
    with tg.training.Live(serve=False, save=tmp_path / "run.html") as live:
        for loss in (4.0, 2.0, float("nan"), 1.0):
            live.step(loss=loss)
    browser.load((tmp_path / "run.html").as_uri())
    browser.until("!!document.querySelector('.chart path')")
    assert (
        browser.run("document.querySelector('.chart path').getAttribute('d').match(/M/g).length") == 2
    )  # a gap at NaN
    assert "loss 1" in browser.text(".legend").replace("\n", " ")
    frame = (
        "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('.chart').getBoundingClientRect())"
    )
    x, y, width, height = browser.run(frame)
    browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=x + width * 0.11, y=y + height / 2)
    browser.until("/step 1$/.test(document.querySelector('.legend').innerText.trim())")
    assert "loss 4" in browser.text(".legend").replace("\n", " ")
    browser.click(".log")
    assert browser.run("document.querySelector('.log').getAttribute('aria-pressed')") == "true"


def test_a_curve_that_is_never_finite_is_told(browser, tmp_path):
    with tg.training.Live(serve=False, save=tmp_path / "run.html") as live:
        for loss in (float("nan"), float("inf")):
            live.step(loss=loss, large=-5e9, small=2.5e-7, whole=3e8)
    browser.load((tmp_path / "run.html").as_uri())
    browser.until("document.querySelectorAll('.card').length >= 4")
    assert browser.text(".legend").split() == ["loss", "∞", "step", "2"]
    assert browser.run("document.querySelector('.chart').textContent") == "no number that can be drawn"
    plain, red = (browser.run(f"getComputedStyle(document.querySelectorAll('.legend b')[{i}]).color") for i in (1, 0))
    assert plain != red
    numbers = browser.run("[...document.querySelectorAll('.legend b')].map(e => e.textContent)")
    assert numbers[1:] == ["\N{MINUS SIGN}5e9", "2.5e\N{MINUS SIGN}7", "3e8"]
    cut = "[...document.querySelectorAll('.chart .left')].some(e => e.getBBox().x < 0)"
    assert not browser.run(cut)  # the numbers of the axis
    browser.send("Input.dispatchMouseEvent", type="mouseMoved", x=200, y=150)  # nothing to point at


def test_names_with_markup_are_text(browser, tmp_path):
    with tg.training.Live(serve=False, save=tmp_path / "run.html") as live:
        live.step(**{"</script><img src=x onerror=alert(1)>": 1.0})
    browser.load((tmp_path / "run.html").as_uri())
    browser.until("!!document.querySelector('.card:not(.graph) h2')")
    assert browser.run("document.querySelectorAll('.live img').length") == 0
    assert "<img src=x" in browser.text(".card:not(.graph) h2")


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nothing_is_cut_off_at_any_width(browser, often, tmp_path, pictures, width, dark):
    live = tg.training.Live(save=tmp_path / "run.html", serve=False)
    Training(live, epochs=8).end()
    browser.look(width, 1600, dark)
    browser.load((tmp_path / "run.html").as_uri())
    browser.until(f"{COUNT} >= 10")
    assert browser.run("document.documentElement.scrollWidth") == width
    browser.picture(pictures / f"live-{width}-{'dark' if dark else 'light'}.png")


def test_a_long_series_stays_in_order_when_its_points_are_merged(browser, live, often):
    for i in range(1000):
        live.step(loss=1.0 + i)
    browser.load(live.address)
    browser.until("!!document.querySelector('.chart path')")
    for i in range(1000, 1600):
        live.step(loss=1.0 + i)
    browser.until("/step 1[56]/.test(document.querySelector('.legend').innerText)")
    path = browser.run("document.querySelector('.chart path').getAttribute('d')")
    places = [float(each.split()[0]) for each in path[1:].split("L")]
    assert len(places) < 1024
    assert places == sorted(places)
