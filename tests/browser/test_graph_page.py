"""The page of a graph as a person meets it: what is to be read, clicked, typed and pressed."""

from __future__ import annotations

import base64
import copy
import json
import re
import shutil
import struct
from importlib.resources import as_file, files
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn

from .server import served

CLICK = "new MouseEvent('click', {bubbles: true})"

OVERLAPS = """(() => {
    const at = (e) => e.getBoundingClientRect();
    const boxes = [...document.querySelectorAll('.box')].map((e) => [e.dataset.key, at(e.querySelector('.face'))]);
    const meet = (p, q) => p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1;
    const pairs = boxes.flatMap(([a, p]) => boxes.filter(([b, q]) => a < b && meet(p, q)).map(([b]) => `${a} on ${b}`));
    const hulls = [...document.querySelectorAll('.cluster rect')].map(at);
    const holds = (p, q) => p.left <= q.left && p.right >= q.right && p.top <= q.top && p.bottom >= q.bottom;
    const out = hulls.flatMap((p, i) => hulls.slice(i + 1).filter((q) => meet(p, q) && !holds(p, q) && !holds(q, p)));
    return [...pairs, ...out.map(() => 'a group across the border of another')];
})()"""
"""Boxes that overlap, and groups that lie neither in nor beside each other."""


STRAY = """(() => {
    const size = (e) => e.querySelector('.face').getBBox();
    const at = ({ e: x, f: y }, { width: w, height: h }) => ({ x, y, w, h });
    const placed = (e) => [e.dataset.key, at(e.transform.baseVal[0].matrix, size(e))];
    const boxes = new Map([...document.querySelectorAll('.box')].map(placed));
    const found = [];
    for (const path of document.querySelectorAll('.edges path')) {
        const [from, to] = path.dataset.edge.split('-');
        const length = path.getTotalLength();
        for (let s = 0; s < length; s += 3) {
            const { x, y } = path.getPointAtLength(s);
            for (const [key, { x: left, y: top, w, h }] of boxes) {
                const inside = x > left + 2 && x < left + w - 2 && y > top + 2 && y < top + h - 2;
                if (inside) found.push(`${path.dataset.edge} over ${key}`);
            }
        }
        const [a, b] = [boxes.get(from), boxes.get(to)];
        const [first, last] = [path.getPointAtLength(0), path.getPointAtLength(length)];
        const down = Math.abs(first.y - a.y - a.h) < 1.5 && Math.abs(last.y - b.y) < 1.5;
        const right = Math.abs(first.x - a.x - a.w) < 1.5 && Math.abs(last.x - b.x) < 1.5;
        if (!down && !right) found.push(`${path.dataset.edge} at a side`);
    }
    return [...new Set(found)];
})()"""
"""Edges that run over boxes, or that do not go from the end of one box to the beginning of another."""


@pytest.fixture
def opened(browser, tmp_path):
    """A function that saves a page and opens it over file://."""

    def load(page, **how):
        browser.look(**how)
        browser.load(page.save(tmp_path / "graph.html").as_uri())
        browser.until("!!document.querySelector('.box')")
        return browser

    return load


def expression():
    a, b, c = (tg.Tensor(v, requires_grad=True) for v in (2.0, -3.0, 10.0))
    e = a * b
    loss = (e + c) * a
    return tg.show(loss)


def network(batch=8):
    tg.manual_seed(0)
    images, digits = tg.data.digits()
    x, y = (images[:batch, None] / 16).astype(np.float32), digits[:batch]
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 10)
    )

    def loss(x, y):
        return tg.cross_entropy(model(x), y, reduction="sum")

    return tg.show(loss, x, y)


class Deep(nn.Module):
    def __init__(self, blocks, layers):
        super().__init__()
        block = [[nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(layers)] for _ in range(blocks)]
        self.blocks = nn.ModuleList([nn.Sequential(*each) for each in block])

    def forward(self, x):
        for each in self.blocks:
            x = each(x)
        return x.mean()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.step, self.inward = nn.Linear(4, 4), nn.Linear(3, 4)

    def forward(self, x):
        h = tg.zeros((2, 4))
        for t in range(len(x)):
            h = (self.step(h) + self.inward(x[t])).tanh()
        return h.sum()


def recurrence():
    tg.manual_seed(0)
    return tg.show(Recurrent(), np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32))


def box(browser, key):
    return browser.run(f"document.querySelector('[data-key={key}]').textContent")


def minus(text):
    """Numbers as the page writes them."""
    return text.replace("-", "\N{MINUS SIGN}")


def key_of(page, name):
    (node,) = [n for n in page.data["nodes"] if name in (n["name"], n["op"])]
    return f"n{node['id']}"


def test_boxes_show_op_name_value_and_gradient(opened):
    page = expression()
    browser = opened(page)
    assert browser.run("document.querySelectorAll('.box').length") == 6
    for node in page.data["nodes"]:
        text = box(browser, f"n{node['id']}")
        assert (node["op"] or node["name"]) in text
        for kind, word in (("value", "value"), ("gradient", "grad")):
            assert minus(f"{word}{node[kind]['values']:g}") in text, (text, node)
    assert browser.run("document.title") == browser.text("h1") == "loss"
    assert browser.run("document.querySelectorAll('.edges path').length") == 6


def test_a_click_shows_value_gradient_formula_rule_and_place(opened):
    page = network()
    browser = opened(page)
    (node,) = [n for n in page.data["nodes"] if n["op"] == "convolve"]
    browser.click(f"[data-key=g{node['group']}]")  # a module of one op is shown as that op
    text = browser.text(".side")
    assert browser.text(".side h2") == "conv2d"
    assert "op convolve" in text
    for kind in ("value", "gradient"):
        for fact in ("mean", "std", "norm"):
            assert abs(node[kind][fact]) < 1e-4 or minus(f"{node[kind][fact]:.4g}") in text, (kind, fact)
    assert browser.run("[...document.querySelectorAll('.side img')].every(i => i.naturalWidth > 1)")
    assert browser.run("document.querySelectorAll('.side .histogram path').length") == 2
    assert "y[n, o, p]" in text
    assert "convolve_dx(" in text
    assert "test_graph_page.py:" in text
    assert "model \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK} Conv2d" in text


def test_the_rule_is_shown_with_the_numbers_that_went_in(opened):
    page = expression()
    browser = opened(page)
    browser.click(f"[data-key={key_of(page, 'e')}]")
    rows = browser.run("[...document.querySelectorAll('.rule')].map(r => r.innerText.replace(/\\s+/g, ' '))")
    assert rows[0] == minus("gradient in a lambda g, b: g * b g 2 b -3 a\N{PRIME} -6")
    assert rows[1] == "gradient in b lambda g, a: g * a g 2 a 2 b\N{PRIME} 4"


def test_inputs_and_uses_can_be_followed(opened):
    page = expression()
    browser = opened(page)
    browser.click(f"[data-key={key_of(page, 'e')}]")
    browser.run("[...document.querySelectorAll('.side .jump')].find(b => b.textContent === 'add').click()")
    assert browser.text(".side h2") == "add"
    browser.run("[...document.querySelectorAll('.side .jump')].find(b => b.textContent === 'c').click()")
    assert browser.text(".side h2") == "c"
    assert browser.run("document.querySelector('.box.selected').dataset.key") == key_of(page, "c")
    browser.click(".side .close")
    assert browser.run("document.querySelector('.side').hidden")


def test_what_is_not_finite_is_marked_red(opened):
    with np.errstate(all="ignore"):
        page = tg.show(lambda x: (x.log() * x).sum(), np.array([[-1.0, 0.0], [1.0, 2.0]], np.float32))
    browser = opened(page)
    browser.click(f"[data-key={key_of(page, 'log')}]")
    assert "1 NaN, 1 infinite" in browser.text(".side")
    red = browser.run("getComputedStyle(document.querySelector('.side .bad')).color")
    assert (
        browser.run(f"getComputedStyle(document.querySelector('[data-key={key_of(page, 'log')}] .badge circle')).fill")
        == red
    )
    assert (
        browser.run(f"!document.querySelector('[data-key={key_of(page, 'x')}] .badge')") is False
    )  # its gradient is NaN
    total = f"[data-key={key_of(page, 'sum')}]"  # the result, whose border would else have the color of its family
    assert browser.run(f"getComputedStyle(document.querySelector('{total} .face')).stroke") == red
    assert browser.run(f"getComputedStyle(document.querySelector('{total} .value .number')).fill") == red
    assert browser.run(f"getComputedStyle(document.querySelector('{total} .gradient .number')).fill") != red


def test_groups_open_and_close(opened):
    page = network()
    browser = opened(page)
    assert "max_pool2d" in box(browser, key_of(page, "max_pool"))  # a module of one op
    group = next(g for g in page.data["groups"] if g["name"] == "batch_norm")
    assert "batch_normBatchNorm2d" in box(browser, f"g{group['id']}")
    browser.press("0")
    browser.click(f"[data-key=g{group['id']}]")
    assert "normalized" in browser.text(".side")
    browser.click(f"[data-key=g{group['id']}] .open rect")
    assert browser.run(f"!!document.querySelector('[data-key={key_of(page, 'normalized')}]')")
    browser.run(
        f"document.querySelector('[data-key=c{group['id']}]').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))"
    )
    assert browser.run(f"!document.querySelector('[data-key={key_of(page, 'normalized')}]')")
    browser.click("[title='close all groups']")
    closed = browser.run("[...document.querySelectorAll('.box.closed .title')].map(e => e.firstChild.data)")
    assert closed == ["model", "cross_entropy"]
    browser.click("[title='open all groups']")
    assert browser.run("document.querySelectorAll('.box').length") == len(page.data["nodes"])


def test_boxes_do_not_overlap_and_lie_in_their_groups(opened):
    browser = opened(network())
    browser.click("[title='open all groups']")
    for _ in range(2):  # in both directions
        faults = browser.run(OVERLAPS)
        assert faults == []
        browser.click("[title='turn the layout']")


@pytest.mark.parametrize("make", [recurrence, expression])
def test_edges_run_from_box_to_box_and_over_no_other(opened, make):
    browser = opened(make())
    for groups in "open", "close":
        if browser.run(f"!!document.querySelector(\"[title='{groups} all groups']\")"):
            browser.click(f"[title='{groups} all groups']")
        for _ in range(2):  # in both directions
            assert browser.run("document.querySelectorAll('.edges path').length") > 0
            faults = browser.run(STRAY)
            assert faults == []
            browser.click("[title='turn the layout']")


def test_of_a_long_name_the_end_is_shown(opened):
    model = nn.Linear(2, 1)
    for _ in range(6):
        model = nn.Sequential(nn.ModuleDict({"repeated_block": model})["repeated_block"])
    outer = nn.Module()
    outer.a_long_name_of_an_encoder = model
    page = tg.show(outer)
    browser = opened(page)
    browser.click("[title='open all groups']")
    assert box(browser, key_of(page, "a_long_name_of_an_encoder.0.0.0.0.0.0.weight")).startswith("…")
    texts = [box(browser, f"n{i}") for i in range(2)]
    assert "0.weight" in texts[0]
    assert "0.bias" in texts[1]


def test_a_small_graph_is_seen_as_a_whole(opened):
    def penalty(x):
        (slope,) = tg.autograd.gradients((x**3).sum(), [x], create_graph=True)
        return (slope * slope).sum()

    browser = opened(tg.show(penalty, np.array([0.9, 0.1, -0.7])))
    edges = browser.run("[...document.querySelectorAll('.box')].map(e => e.getBoundingClientRect().right)")
    assert max(edges) <= 1280


def test_search_finds_names_and_shows_them(opened):
    page = network()
    browser = opened(page)
    browser.click("[title='close all groups']")
    browser.press("/")
    browser.type("weight")
    assert "model.0.weight" in browser.text(".results")
    browser.press("Enter")
    assert browser.text(".side h2") == "model.0.weight"
    assert browser.run(f"!!document.querySelector('.box.selected[data-key={key_of(page, 'model.0.weight')}]')")
    browser.press("/")
    browser.run("document.querySelector('.search input').select()")
    browser.type("nothing like it")
    assert browser.text(".results") == "nothing found"


def test_play_walks_backward_and_adds_sums_up(opened):
    page = expression()
    browser = opened(page)
    a = page.data["nodes"][0]
    steps = []
    for _ in page.data["order"]:
        browser.click("[title='one step on']")
        steps.append(browser.text(".told"))
    assert steps[0] == f"Step 1 of {len(steps)}. mul loss: gradient 1. a waits: 1 of 2 gradients have arrived."
    assert minus(f"Step {len(steps)} of {len(steps)}. a: gradient 4 + -6 = -2. A leaf: this is its grad.") == steps[-1]
    assert a["gradient"]["values"] == -2
    assert browser.run("document.querySelectorAll('.box.done').length") == 6
    browser.click("[title='one step back']")
    assert browser.text(".told") == steps[-2]
    assert browser.run("document.querySelector('.box.waiting, .box:not(.done)').dataset.key") == "n0"


def test_play_runs_by_itself_and_can_be_paused(opened):
    browser = opened(expression())
    browser.press("p")
    browser.until("document.querySelectorAll('.box.done').length > 1")
    assert "Pause" in browser.text(".play .primary")
    browser.press("p")
    assert "Play" in browser.text(".play .primary")
    assert browser.run("document.querySelectorAll('.edges path.flow').length") > 0


def test_the_keyboard_alone_suffices(opened):
    page = network()
    browser = opened(page)
    browser.run("document.querySelector('.drawing').focus()")
    browser.press("ArrowDown")
    first = browser.run("document.activeElement.dataset.key")
    seen = {first}
    for _ in range(6):
        browser.press("ArrowDown")
        seen.add(browser.run("document.activeElement.dataset.key"))
    assert len(seen) > 4
    inside = {f"g{g['id']}" for g in page.data["groups"] if g["parent"] is not None}
    for key in ["ArrowUp"] * 9 + ["ArrowDown"] * 3:
        if browser.run("document.activeElement.dataset.key") not in inside:
            browser.press(key)
    group = browser.run("document.activeElement.dataset.key")[1:]
    browser.press("Enter")
    assert browser.run("document.activeElement.dataset.key") == f"c{group}"
    browser.press("Enter")
    assert browser.run("document.activeElement.dataset.key") == f"g{group}"
    (outer,) = (g["id"] for g in page.data["groups"] if g["name"] == "model")
    browser.press("Backspace")  # the group around it, which the arrows do not reach
    assert browser.run("document.activeElement.dataset.key") == f"g{outer}"
    browser.press("Backspace")  # there is none around that
    outside = sum(node["group"] is None for node in page.data["nodes"])
    outside += sum(group["parent"] is None for group in page.data["groups"])
    assert browser.run("document.querySelectorAll('.box').length") == outside
    browser.press("Escape")
    assert browser.run("document.querySelector('.side').hidden")
    assert (
        browser.run("document.querySelectorAll('.tools button, .play button, .search input').length") >= 10
    )  # all reached by Tab
    assert browser.run("![...document.querySelectorAll('button')].some(b => !b.textContent.trim() && !b.ariaLabel)")


def test_the_graph_is_there_as_text(opened):
    page = expression()
    browser = opened(page)
    browser.click(".outline summary")
    browser.until("document.querySelectorAll('.outline li').length > 0")
    lines = browser.run("[...document.querySelectorAll('.outline li')].map(e => e.textContent)")
    assert len(lines) == len(page.data["nodes"])
    assert lines[3] == minus("3: mul, e, float32 scalar, value -6, gradient 2 inputs: a from 0, b from 1; used by 4")
    labels = browser.run("[...document.querySelectorAll('.box')].map(e => e.getAttribute('aria-label'))")
    assert sorted(labels) == sorted(line.split(" inputs:")[0].split(" used by")[0] for line in lines)


def test_pan_and_zoom(opened):
    browser = opened(expression())
    where = "(({ x, y, width }) => [x, y, width])(document.querySelector('[data-key=n0]').getBoundingClientRect())"
    x, y, width = browser.run(where)
    for kind, dx in (("mousePressed", 0), ("mouseMoved", 30), ("mouseMoved", 50), ("mouseReleased", 50)):
        browser.send("Input.dispatchMouseEvent", type=kind, x=40 + dx, y=300, button="left", buttons=1, clickCount=1)
    assert browser.run(where) == pytest.approx([x + 50, y, width], abs=1)
    browser.send("Input.dispatchMouseEvent", type="mouseWheel", x=40, y=300, deltaX=0, deltaY=-300)
    browser.until(f"{where}[2] > {width * 1.3}")
    browser.press("0")
    browser.until(f"Math.abs({where}[0] - {x}) < 40")


def test_a_page_that_gets_another_width_is_fitted_again_until_it_was_moved(opened):
    browser = opened(tg.show(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), tg.ones(1, 3)))
    middle = "(b => b.x + b.width / 2)(document.querySelector('.cluster').getBoundingClientRect())"
    frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    wide = browser.run(middle)
    browser.look(400, 800)
    browser.until(f"Math.abs({middle} - 200) < 2")
    browser.look()
    browser.until(f"Math.abs({middle} - {wide}) < 2")
    browser.run(f"document.querySelector('[data-key=n0]').dispatchEvent({CLICK})")
    browser.until("!!document.querySelector('.box.selected')")  # what was clicked on stays, though the panel takes room
    browser.run(frames)
    assert browser.run(middle) == pytest.approx(wide, abs=2)
    browser.press("Escape")
    browser.send("Input.dispatchMouseEvent", type="mouseWheel", x=40, y=300, deltaX=0, deltaY=-300)
    browser.until(f"Math.abs({middle} - {wide}) > 20")
    moved = browser.run(middle)
    browser.look(400, 800)
    browser.run(frames)
    assert browser.run(middle) == pytest.approx(moved, abs=2)


def test_names_with_markup_are_text(opened):
    x = tg.Tensor(1.0, requires_grad=True)
    model = nn.Module()
    evil = "<script>document.title='no'</script><img src=x onerror=alert(1)>"
    model.register_parameter(evil.replace(".", "_"), nn.Parameter(np.ones(2, np.float32)))
    browser = opened(tg.show(model, title=evil))
    assert browser.text("h1") == evil
    browser.click(".box")
    assert browser.text(".side h2").startswith("<script>")
    assert browser.run("document.querySelectorAll('.app img, .app script').length") == 0
    assert x.grad is None


def test_a_graph_of_one_node(opened):
    x = tg.Tensor(3.0, requires_grad=True)
    browser = opened(tg.show(x))
    assert "value3" in box(browser, "n0")
    assert browser.run("document.querySelector('.play').hidden")


def test_a_model_that_was_not_called(opened):
    browser = opened(tg.show(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))))
    assert "The model was not called" in browser.text("footer")
    assert browser.run("document.querySelectorAll('.box').length") == 4


class Block(nn.Module):
    def __init__(self):
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return x + self.second(self.first(x).relu())


def shown(browser):
    """The texts of boxes, and the names of open groups."""
    boxes = browser.run("[...document.querySelectorAll('.box .title')].map(e => e.firstChild.data)")
    return boxes, browser.run("[...document.querySelectorAll('.cluster > text')].map(e => e.textContent)")


@pytest.mark.parametrize("flat", [False, True])
def test_equal_blocks_are_folded_and_one_is_open(opened, flat):
    one = [nn.Linear(3, 3), nn.ReLU()] if flat else [Block()]
    model = nn.Sequential(*(layer for _ in range(30) for layer in copy.deepcopy(one)), nn.Linear(3, 2))
    page = tg.show(model, np.ones((1, 3), np.float32))
    browser = opened(page)
    boxes, groups = shown(browser)
    block = ["linear", "relu"] if flat else ["linear", "relu", "linear", "add"]
    assert [text for text in boxes if text != "x"] == [*block, "29 more like it", "linear"]
    assert (
        groups[1].strip()
        == f"\N{BLACK DOWN-POINTING SMALL TRIANGLE} {'block' if flat else 'Block'} \N{MULTIPLICATION SIGN} 30"
    )
    assert browser.run(STRAY) == []
    browser.press("/")
    browser.type("28.weight" if flat else "14.second.weight")
    browser.press("Enter")
    assert browser.run("!!document.querySelector('.box.selected')")
    browser.click("[title='open all groups']")
    assert browser.run("document.querySelectorAll('.box').length") == len(page.data["nodes"])
    assert browser.run(OVERLAPS) == []


def test_blocks_that_differ_are_not_folded(opened):
    layers = [nn.Linear(3 + i, 4 + i) for i in range(6)]
    browser = opened(tg.show(nn.Sequential(*layers), np.ones((1, 3), np.float32)))
    assert shown(browser)[0].count("linear") == 6


SAVED = """(async () => {
    const found = [];
    const made = URL.createObjectURL;
    const clicked = HTMLAnchorElement.prototype.click;
    URL.createObjectURL = (blob) => (found.push({ blob }), 'blob:none');
    HTMLAnchorElement.prototype.click = function () { found.at(-1).name = this.download; };
    document.querySelector("[title='save the drawing as KIND']").click();
    while (!found[0]?.name) await new Promise((later) => setTimeout(later, 10));
    [URL.createObjectURL, HTMLAnchorElement.prototype.click] = [made, clicked];
    const bytes = new Uint8Array(await found[0].blob.arrayBuffer());
    const data = btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(''));
    return { name: found[0].name, type: found[0].blob.type, data };
})()"""
"""What a button saves."""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_drawing_is_saved_as_svg_and_png(opened, tmp_path, pictures, dark):
    browser = opened(network(), dark=dark)
    titles, groups = shown(browser)
    svg = browser.run(SAVED.replace("KIND", "SVG"))
    assert (svg["name"], svg["type"]) == ("loss.svg", "image/svg+xml")
    text = base64.b64decode(svg["data"]).decode()
    root = ElementTree.fromstring(text)
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(titles) | set(groups) <= set(words)
    assert "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}" not in words  # buttons
    assert not re.search(r"var\(|color-mix|context-stroke|class=|color\(", text)
    width, height = int(root.get("width")), int(root.get("height"))
    png = browser.run(SAVED.replace("KIND", "PNG"))
    data = base64.b64decode(png["data"])
    assert (png["name"], png["type"]) == ("loss.png", "image/png")
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (2 * width, 2 * height)
    (pictures / f"saved-{'dark' if dark else 'light'}.png").write_bytes(data)
    (tmp_path / "saved.svg").write_text(text, encoding="utf-8")
    browser.load((tmp_path / "saved.svg").as_uri())  # alone, it looks as it did
    color = (
        "getComputedStyle([...document.querySelectorAll('text')].find(e => e.textContent.startsWith('conv2d'))).fill"
    )
    assert browser.run(color) == ("rgb(232, 235, 241)" if dark else "rgb(29, 35, 48)")


def test_a_thousand_nodes_by_module_and_all_at_once(opened):
    page = tg.show(Deep(12, 20), np.ones((1, 2), np.float32))
    assert len(page.data["nodes"]) > 950
    browser = opened(page)
    assert browser.run("document.querySelectorAll('.box').length") < 60
    browser.click("[title='open all groups']")
    browser.until("document.querySelectorAll('.box').length > 950")


def test_twenty_thousand_nodes_are_drawn_by_module_and_refused_flat(opened):
    page = tg.show(Deep(250, 20), np.ones((1, 2), np.float32))
    assert len(page.data["nodes"]) > 20_000
    browser = opened(page)
    assert browser.run("document.querySelectorAll('.box').length") < 300
    browser.click("[title='open all groups']")
    assert "too many to draw at once (2,000 at most)" in browser.text(".status")
    assert browser.run("document.querySelectorAll('.box').length") < 300
    browser.press("/")
    browser.type("blocks.200.3.0.weight")
    browser.press("Enter")
    assert browser.text(".side h2") == "blocks.200.3.0.weight"


def test_the_scripts_are_modules_that_another_page_can_import(browser, tmp_path):
    with as_file(files("tinygrad_cnn.extra.show").joinpath("assets")) as folder:
        shutil.copytree(folder, tmp_path / "site")
    (tmp_path / "site" / "index.html").write_text(
        "<!doctype html><link rel=icon href=data:,><body><script src=dagre/dagre.min.js></script>"
        "<script type=module>import { start } from './main.js';"
        f"start(document.body, {json.dumps(expression().data)})</script>",
        encoding="utf-8",
    )
    with served(tmp_path / "site") as address:
        browser.load(address)
        browser.until("!!document.querySelector('.box')")
        count = browser.run("document.querySelectorAll('.box').length")
        browser.load("about:blank?")
    assert count == 6


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("make", [expression, network])
def test_nothing_is_cut_off_at_any_width(opened, pictures, make, width, dark):
    browser = opened(make(), width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width
    outside = browser.run(
        "[...document.querySelectorAll('.bar *, .play *, footer p')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"
    )
    assert outside == []
    name = f"{make.__name__}-{width}-{'dark' if dark else 'light'}"
    browser.picture(pictures / f"{name}.png")
    browser.run(f"document.querySelector('.box:not(.closed)').dispatchEvent({CLICK})")
    browser.picture(pictures / f"{name}-details.png")
