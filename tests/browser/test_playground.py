"""The playground as a visitor meets it, with Pyodide from a local folder: TINYGRAD_CNN_PYODIDE names it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from build_playground import pin
from playground import gradients, notebook, train

from .playground import press, ready, write
from .server import served

TABS = ("course", "train", "plane", "gradients", "notebook")
FOREVER = "model = nn.Linear(64, 10)\nwhile True:\n    pass\n"


def shown(number):
    return f"{number:.4g}".replace("-", "\N{MINUS SIGN}")


def step_of(browser):
    return browser.run(
        "Number(/step ([\\d,]+)/.exec(document.querySelector('.state')?.innerText)?.[1].replace(',', ''))"
    )


def test_a_training_moves_and_can_be_stopped_stepped_and_reset(opened):
    browser = opened()
    press(browser, "Train")
    browser.until("/epoch 3/.test(document.querySelector('.state')?.innerText)", 60)
    titles = "[...document.querySelectorAll('#panel-train h2')].map(h => h.textContent)"
    assert {"loss by step", "accuracy by epoch", "Layers", "First filters", "Confusion matrix"} <= set(
        browser.run(titles)
    )
    counts = "[...document.querySelectorAll('.confusion td')].reduce((sum, td) => sum + Number(td.textContent), 0)"
    assert browser.run(counts) == 297
    press(browser, "Stop")
    browser.until("document.querySelector('#panel-train .primary').disabled === false")
    browser.until("document.querySelector('.state .badge').innerText === 'paused'")
    before = step_of(browser)
    assert before > 0
    press(browser, "Step")
    browser.until(f"/step {before + 1:,}\\b/.test(document.querySelector('.state').innerText)")
    press(browser, "Reset")
    browser.until("!document.querySelector('.chart')")
    press(browser, "Step")
    browser.until("/step 1$/.test(document.querySelector('.legend')?.innerText.trim())")
    source = browser.run("document.querySelector('#panel-train textarea').value")
    train.start(source, "Adam", 0.003, 50)
    ((step, loss),) = train.advance(0, 0.003, 1)["news"]["series"]["step loss"]["points"]
    assert step == step_of(browser) == 1
    assert f"loss {loss:.4g}" in browser.text(".legend").replace("\n", " ")


def test_a_training_ends_after_its_epochs_and_goes_on_with_another_rate(opened):
    browser = opened()
    for label, value in (("epochs", "1"), ("batch", "500")):
        field = (
            f"[...document.querySelectorAll('.fields label')].find(l => l.innerText.startsWith('{label}')).children[0]"
        )
        browser.run(f"{field}.value = '{value}'")
    for epoch in (1, 2):
        press(browser, "Train")
        browser.until(f"/epoch {epoch}/.test(document.querySelector('.state')?.innerText)", 30)
        browser.until("document.querySelector('#panel-train .primary').disabled === false")
        assert step_of(browser) == 3 * epoch
        browser.run("[...document.querySelectorAll('.fields input')][0].value = '0.001'")
    browser.until("/lr 0.001/.test(document.querySelector('.live').innerText)")


def test_a_digit_is_drawn_and_recognized(opened):
    browser = opened()
    press(browser, "Train")
    browser.until("/epoch 10/.test(document.querySelector('.state')?.innerText)", 60)
    press(browser, "Stop")
    press(browser, "Clear")
    assert browser.text(".guess") == "\N{EN DASH}"
    browser.run("document.querySelector('.draw').scrollIntoView({ block: 'center' })")
    x, y, size = browser.run("(b => [b.x, b.y, b.width])(document.querySelector('.draw').getBoundingClientRect())")
    ring = [(0.5 + 0.22 * np.sin(t), 0.5 - 0.36 * np.cos(t)) for t in np.linspace(0, 2 * np.pi, 25)]
    kinds = ["mousePressed", *["mouseMoved"] * 23, "mouseReleased"]
    for kind, (u, v) in zip(kinds, ring, strict=True):
        at = {"x": x + u * size, "y": y + v * size}
        browser.send("Input.dispatchMouseEvent", type=kind, **at, button="left", buttons=1, clickCount=1)
    browser.until("/It is a 0/.test(document.querySelector('.guess').innerText)")
    chances = browser.run(
        "[...document.querySelectorAll('.chances .number')].map(e => Number(e.textContent.replace('\N{MINUS SIGN}', '-')))"
    )
    assert sum(chances) == pytest.approx(1, abs=0.02)
    assert np.argmax(chances) == 0
    captions = browser.run("[...document.querySelectorAll('.inside figcaption b')].map(b => b.textContent)")
    assert captions == ["Where it looks", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert browser.run("[...document.querySelectorAll('.inside img')].every(i => i.naturalWidth > 5)")


def test_the_keyboard_is_enough(opened):
    browser = opened()
    browser.run("document.querySelector('#tab-train').focus()")
    for tab in (*TABS[2:], *TABS[:2]):
        browser.press("ArrowRight")
        assert browser.run("document.activeElement.id") == f"tab-{tab}"
        assert browser.run(
            "[...document.querySelectorAll('[role=tabpanel]')].filter(p => !p.hidden).map(p => p.id)"
        ) == [f"panel-{tab}"]
    for label in ("begin with, for the network, in Python", "the network, in Python"):
        browser.press("Tab")
        assert browser.run("document.activeElement.getAttribute('aria-label')") == label
    seen = []
    while not (seen and "Train" in seen[-1]):
        browser.press("Tab")
        seen.append(browser.run("document.activeElement.innerText || document.activeElement.tagName"))
        assert len(seen) < 10
    browser.press("Enter")
    browser.until("/epoch 2/.test(document.querySelector('.state')?.innerText)", 60)
    browser.run("document.querySelector('#panel-train .buttons button:nth-child(2)').focus()")
    browser.press("Enter")
    browser.until("document.querySelector('#panel-train .primary').disabled === false")
    browser.run("document.querySelector('.draw').focus()")
    browser.press("Delete")
    browser.until("document.querySelector('.guess').innerText === '\N{EN DASH}'")
    for key in ("ArrowUp", " ", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", " "):
        browser.press(key)
    browser.until("/It is a \\d/.test(document.querySelector('.guess').innerText)")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\nmodel = nn.Lineer(64, 10)\n", 2, "AttributeError"),
        ("model = nn.Sequential(\n    nn.Linear(64 10),\n)\n", 2, "SyntaxError"),
        ("def build():\n    return 1 / 0\n\nmodel = build()\n", 2, "ZeroDivisionError: division by zero"),
    ],
)
def test_an_error_ends_in_the_line_of_the_user(opened, text, line, message):
    browser = opened()
    write(browser, "#panel-train textarea", text)
    browser.run("document.activeElement.blur()")
    press(browser, "Train")
    browser.until("!document.querySelector('#panel-train .error').hidden")
    shown = browser.text("#panel-train .error").splitlines()
    place = [each for each in shown if each.strip().startswith("File")]
    assert place[-1].strip().startswith(f'File "your network", line {line}')
    assert all("your network" in each for each in place)
    assert any(each.startswith(message) for each in shown)
    assert browser.run("document.querySelector('#panel-train textarea').value") == text
    selected = "(e => e.value.slice(e.selectionStart, e.selectionEnd))(document.querySelector('#panel-train textarea'))"
    assert browser.run(selected) == text.splitlines()[line - 1]


def test_what_is_no_network_of_digits_is_refused(opened):
    browser = opened()
    for text, message in (
        ("model = 3\n", "`model` is of class int"),
        ("net = nn.Linear(64, 10)\n", "`model` does not exist"),
        ("model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))\n", "of shape (2, 3)"),
        ("model = nn.Sequential(nn.Flatten(), nn.Linear(63, 10))\n", "`in_features` 63"),
    ):
        write(browser, "#panel-train textarea", text)
        press(browser, "Train")
        browser.until(f"document.querySelector('#panel-train .error').innerText.includes({json.dumps(message)})")
        assert message in browser.text("#panel-train .error")


def test_stop_ends_an_endless_loop_and_nothing_is_lost(opened):
    browser = opened()
    whole = browser.run("document.querySelector('#panel-train textarea').value")
    write(browser, "#panel-train textarea", FOREVER)
    press(browser, "Train")
    press(browser, "Stop")
    browser.until("/started anew/.test(document.querySelector('.loading').textContent)", 90)
    assert "started anew" in browser.text("#panel-train .told")
    assert browser.run("document.querySelector('#panel-train textarea').value") == FOREVER
    write(browser, "#panel-train textarea", whole)
    press(browser, "Train")
    browser.until("/epoch 1/.test(document.querySelector('.state')?.innerText)", 60)


def test_a_program_and_its_graph(opened):
    browser = opened("gradients")
    browser.until("document.querySelectorAll('.graph-place .box').length > 3", 30)
    source = browser.run("document.querySelector('#panel-gradients textarea').value")
    compare(browser, source)
    browser.run(
        "(i => { i.value = '-1.5'; i.dispatchEvent(new Event('input', { bubbles: true })) })"
        "(document.querySelectorAll('.numbers input')[1])"
    )
    changed = source.replace("b = -3.0", "b = -1.5")
    browser.until(f"document.querySelector('#panel-gradients textarea').value === {json.dumps(changed)}")
    browser.until(
        "[...document.querySelectorAll('.graph-place .box')].some(b => b.textContent.includes('\N{MINUS SIGN}1.5'))"
    )
    compare(browser, changed)
    browser.run("document.querySelector('.graph-place .play').scrollIntoView({ block: 'center' })")
    browser.click(".graph-place .play button")
    browser.until("/Pause/.test(document.querySelector('.graph-place .play').innerText)")
    other = "x = 3.0\nx * x + 1\n"
    write(browser, "#panel-gradients textarea", other)
    browser.until("document.querySelectorAll('.graph-place .box').length <= 4")
    compare(browser, other)


def compare(browser, source):
    """Every node is shown with the value and the gradient that Python here computes."""
    for node in gradients.show(source)["graph"]["nodes"]:
        if node.get("op"):
            value, slope = (node[kind]["values"] for kind in ("value", "gradient"))
            texts = browser.run("[...document.querySelectorAll('.graph-place .box')].map(b => b.textContent)")
            assert any(f"value{shown(value)}grad{shown(slope)}" in text for text in texts), (value, slope, texts)


def test_errors_and_endless_loops_of_a_program(opened):
    browser = opened("gradients")
    browser.until("document.querySelectorAll('.graph-place .box').length > 3", 30)
    boxes = browser.run("document.querySelectorAll('.graph-place .box').length")
    write(browser, "#panel-gradients textarea", "a = 2.0\nb = a.nothing()\n")
    browser.until("/AttributeError/.test(document.querySelector('#panel-gradients .error').innerText)")
    assert 'File "your program", line 2' in browser.text("#panel-gradients .error")
    assert browser.run("document.querySelectorAll('.graph-place .box').length") == boxes  # the last graph stays
    write(browser, "#panel-gradients textarea", "a = 2.0\nwhile True:\n    pass\n")
    press(browser, "Stop", "gradients")
    browser.until("/started anew/.test(document.querySelector('.loading').textContent)", 90)
    write(browser, "#panel-gradients textarea", "a = 2.0\nb = a * 7.0\n")
    browser.until("[...document.querySelectorAll('.graph-place .box')].some(b => b.textContent.includes('value14'))")
    assert browser.run("document.querySelector('#panel-gradients .error').hidden")


def test_a_wrong_rule_is_checked_and_the_wrong_entries_are_shown(opened):
    browser = opened("gradients")
    press(browser, "Check", "gradients")
    browser.until("/The rule is wrong/.test(document.querySelector('.verdict').innerText)", 30)
    rule = "#panel-gradients section:nth-child(2) textarea"
    source = browser.run(f"document.querySelector('{rule}').value")
    (table,) = gradients.check(source)["tables"]
    rows = browser.run(
        "[...document.querySelectorAll('.entries tbody tr')].map(r => [...r.children].map(c => c.textContent))"
    )
    assert [row[1] for row in rows] == [shown(each) for each in table["rules"]]
    assert [row[2] for row in rows] == [shown(each) for each in table["differences"]]
    assert [i for i, row in enumerate(rows) if row[3] == "wrong"] == table["wrong"] == [2, 3]
    write(browser, rule, source.replace("1.0, x))", "1.0, 2 * x))"))
    press(browser, "Check", "gradients")
    browser.until("/agrees with the differences/.test(document.querySelector('.verdict').innerText)")
    assert not browser.run("document.querySelectorAll('.entries tr.bad').length")


def test_the_notebook_and_its_mistakes(opened):
    browser = opened("notebook")
    browser.until("document.querySelectorAll('.cell').length === 16", 60)
    press(browser, "Run the next cell", "notebook")
    assert browser.run("document.querySelectorAll('.cell.ran').length") == 1
    press(browser, "Run all", "notebook")
    names = [name for each in notebook.COMPUTED.values() for name in each]
    assert browser.run("[...document.querySelectorAll('.compared b')].map(b => b.textContent)") == names
    assert f"{len(names)} gradients so far: 0 of them right" in browser.text("#panel-notebook .told")
    for box in range(3):
        browser.run(f"document.querySelectorAll('.repairs input')[{box}].click()")
    browser.until(f"/{len(names)} of them right/.test(document.querySelector('#panel-notebook .told').innerText)", 60)
    cells = notebook.run(list(notebook.REPAIRS))
    for each in (each for cell in cells for each in cell["gradients"]):
        text = browser.run(
            "[...document.querySelectorAll('.compared')]"
            f".find(t => t.querySelector('b').textContent === '{each['name']}').innerText"
        )
        assert text.count(shown(each["graph"]["first"][0])) >= 2, (each["name"], text)
    assert browser.run("document.querySelectorAll('.mended').length") == sum(len(cell["changed"]) for cell in cells)


def test_a_pyodide_that_is_missing_or_another_one_is_told_and_can_be_tried_again(chromium, folder, tmp_path):
    broken = tmp_path / "site"
    shutil.copytree(folder, broken)
    wheel = next((broken / "pyodide").glob("numpy*"))
    whole = wheel.read_bytes()
    lost = "!document.querySelector('.python button').hidden"
    chromium.look()
    with served(broken) as address:
        for content in (None, whole[:-1] + b"!"):
            wheel.unlink(missing_ok=True)
            if content:
                wheel.write_bytes(content)
            chromium.load(address)
            chromium.until(lost, 30)
            text = chromium.text(".loading")
            assert "Python could not be started" in text
            assert f"{wheel.name} cannot be loaded, or it is not the file whose hash is in pyodide.json" in text
        wheel.write_bytes(whole)
        chromium.run(f"fetch('pyodide/{wheel.name}', {{ cache: 'reload' }}).then(() => 0)")
        chromium.click(".python button")
        ready(chromium)
        chromium.load("about:blank?")


def test_the_newest_pyodide_can_be_loaded_too(browser, folder, tmp_path):
    """Its core; a stand-in is loaded as its NumPy, which is in no registry."""
    newest = Path(os.environ["TINYGRAD_CNN_PYODIDE"], "newest")
    if not newest.is_dir():
        pytest.skip("no newest Pyodide: .ci/pyodide downloads it")
    given, site = tmp_path / "given", tmp_path / "site"
    shutil.copytree(newest, given)
    shutil.copytree(folder, site, ignore=shutil.ignore_patterns("pyodide"))
    lock = json.loads((given / "pyodide-lock.json").read_text(encoding="utf-8"))
    numpy = lock["packages"]["numpy"]
    with zipfile.ZipFile(given / numpy["file_name"], "w") as wheel:
        wheel.writestr("numpy/__init__.py", "")
    with pytest.raises(ValueError, match="is not the file whose hash is in pyodide-lock"):
        pin(given)
    numpy["sha256"] = hashlib.sha256((given / numpy["file_name"]).read_bytes()).hexdigest()
    (given / "pyodide-lock.json").write_text(json.dumps(lock), encoding="utf-8")
    given.rename(site / "pyodide")
    config = (
        json.loads((site / "config.json").read_text(encoding="utf-8")) | pin(site / "pyodide") | {"url": "pyodide/"}
    )
    (site / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with served(site) as address:
        browser.load(address)
        ready(browser)
        assert f"runs Python {config['python']}" in browser.text("footer")
        browser.load("about:blank?")


def test_the_page_says_what_it_loads_and_loads_nothing_else(opened, site):
    browser = opened()
    browser.run("caches.keys().then(names => Promise.all(names.map(name => caches.delete(name))))")
    opened()
    text = browser.text("footer")
    config = json.loads(
        (Path(__file__).parents[2] / "docs" / "playground" / "pyodide.json").read_text(encoding="utf-8")
    )
    assert f"Pyodide {config['version']} from this site" in text
    assert "sent nowhere" in text
    assert config["url"].startswith("https://cdn.jsdelivr.net/pyodide/v")
    names = [url.removeprefix(site).removeprefix("pyodide/") for url in browser.requests(services=False)]
    assert set(config["files"]) <= set(names)
    assert len(set(names)) == len(names)  # nothing twice
    browser.until("caches.keys().then(names => names.some(name => name.startsWith('pyodide ')))")
    opened()
    assert not set(config["files"]) & {
        url.rpartition("/")[2] for url in browser.requests()
    }  # the browser has kept them


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_cut_off_at_any_width(opened, pictures, width):
    browser = opened(width=width, height=1600)
    press(browser, "Train")
    browser.until("/epoch 6/.test(document.querySelector('.state')?.innerText)", 180)  # beside other work
    press(browser, "Stop")
    for scheme in ("light", "dark"):
        browser.look(width, 1600, dark=scheme == "dark")
        for tab in TABS:
            browser.run(f"document.querySelector('#tab-{tab}').click()")
            if tab == "gradients" and scheme == "light":
                press(browser, "Check", tab)
                browser.until(
                    "document.querySelectorAll('.graph-place .box').length > 3 && !!document.querySelector('.entries')",
                    30,
                )
            if tab == "plane":
                browser.until("/^Step 0/.test(document.querySelector('#panel-plane .told').textContent)", 30)
            if tab == "notebook" and scheme == "light":
                browser.until("document.querySelectorAll('.cell').length === 16", 60)
                press(browser, "Run all", tab)
            assert browser.run("document.documentElement.scrollWidth") == width
            browser.run("scrollTo(0, 0)")
            browser.picture(pictures / f"playground-{tab}-{width}-{scheme}.png")
        browser.run("document.querySelectorAll('.cell')[9].scrollIntoView()")
        browser.picture(pictures / f"playground-cells-{width}-{scheme}.png")
