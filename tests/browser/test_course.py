"""The course and the plane, in the browser: solved with keyboard and mouse, kept, and there without a network."""

from __future__ import annotations

import json

import numpy as np
import pytest
from course.exercises import EXERCISES
from playground import plane

from .playground import press, ready, write
from .server import served

EDITOR = "#panel-course textarea"
VERDICT = "document.querySelector('.answered').innerText"


@pytest.fixture
def course(opened, browser):
    """The first exercise, as on a first visit."""
    script = browser.send("Page.addScriptToEvaluateOnNewDocument", source="localStorage.clear()")["identifier"]
    opened("course")
    browser.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    return browser


def check(browser, text=None):
    if text is not None:
        write(browser, EDITOR, text)
    press(browser, "Check", "course")
    browser.until(
        f"/^(Not yet|✓ Solved)/.test({VERDICT}) || !document.querySelector('#panel-course .error').hidden", 60
    )
    return browser.run(VERDICT)


def test_an_exercise_is_solved_and_kept(course, opened):
    browser = course
    exercise = EXERCISES[0]
    assert "twelve exercises" in browser.text("#lead")
    assert browser.text(".exercise h2") == "1. A derivative as a number"
    assert "line 3 still has ...; replace it with your code" in check(browser)
    nearly = exercise.solution.replace("1e-5", "1e-2")
    assert "it should be 0.267498829" in check(browser, nearly)
    check(browser, exercise.solution.replace("1e-5", "tiny"))
    assert "name 'tiny' is not defined" in browser.text("#panel-course .error")
    for hint in exercise.hints:
        text = " ".join(hint.replace("`", "").split())
        assert text not in browser.text(".exercise")
        press(browser, "Hint", "course")
        assert text in browser.text(".exercise")
    assert exercise.solution not in browser.text(".exercise")
    assert "✓ Solved." in check(browser, exercise.solution)
    assert "1 of 12 solved" in browser.text(".course nav")
    press(browser, "Next", "course")
    write(browser, EDITOR, "mine = 1\n")
    opened("course")
    assert browser.text(".exercise h2") == "2. A graph by hand"
    value = f"document.querySelector('{EDITOR}').value"
    assert browser.run(value) == "mine = 1\n"
    assert browser.run("[...document.querySelectorAll('.exercises .solved')].map(e => e.ariaLabel)") == [
        "1: A derivative as a number, solved"
    ]
    press(browser, "Start again", "course")
    assert browser.run(value) == EXERCISES[1].code
    press(browser, "Back", "course")
    assert browser.run(value) == exercise.solution


def test_every_solution_is_right_here_too(course):
    browser = course
    for exercise in EXERCISES:
        browser.run(f"document.querySelector('.exercises [data-number=\"{exercise.number}\"]').click()")
        assert "✓ Solved." in check(browser, exercise.solution), exercise.title
    assert "12 of 12 solved" in browser.text(".course nav")
    browser.run("document.querySelector('#panel-course .draw').focus()")
    for key in ("ArrowUp", " ", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", " "):
        browser.press(key)
    browser.until("/It is a \\d/.test(document.querySelector('#panel-course .guess').innerText)")


def test_the_keyboard_is_enough(course):
    browser = course
    browser.run("document.querySelector('[role=tab]').focus()")

    def to(wanted):
        for _ in range(30):
            browser.press("Tab")
            if wanted in browser.run("document.activeElement.innerText || document.activeElement.ariaLabel || ''"):
                return
        raise AssertionError(f"the key Tab does not lead to {wanted!r}")

    to("The rule of a product")
    browser.press("Enter")
    assert browser.run("document.activeElement.innerText") == "3. The rule of a product"
    to("your answer, in Python")
    browser.run("document.activeElement.select()")
    browser.type(EXERCISES[2].solution)
    to("Check")
    browser.press("Enter")
    browser.until(f"{VERDICT}.includes('Solved')", 60)
    to("Solution")
    browser.press("Enter")
    assert "g * b" in browser.text(".solution pre")


def test_a_check_can_be_stopped(course):
    browser = course
    write(browser, EDITOR, "while True:\n    pass\n")
    press(browser, "Check", "course")
    press(browser, "Stop", "course")
    browser.until("/started anew/.test(document.querySelector('.loading').textContent)", 90)
    assert browser.run(f"document.querySelector('{EDITOR}').value") == "while True:\n    pass\n"
    assert "✓ Solved." in check(browser, EXERCISES[0].solution)


@pytest.mark.parametrize(
    ("lacks", "sentence"),
    [
        (
            "Object.defineProperty(window, 'localStorage', { get() { throw Error('no'); } })",
            "keeps nothing for this page",
        ),
        ("delete window.WebAssembly", "This browser has no WebAssembly"),
    ],
    ids=["storage", "WebAssembly"],
)
def test_what_the_browser_lacks_is_told(browser, site, lacks, sentence):
    script = browser.send("Page.addScriptToEvaluateOnNewDocument", source=lacks)["identifier"]
    try:
        browser.load(site)
        browser.until("document.querySelectorAll('.exercises button').length === 12")
        assert sentence in browser.text("#app")
        press(browser, "Hint", "course")
        assert "16 digits" in browser.text(".hints")
    finally:
        browser.send("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        browser.load("about:blank?")


def test_it_works_without_a_network_once_it_was_loaded(chromium, folder):
    chromium.look()
    with served(folder) as address:
        chromium.load(address)
        ready(chromium)
        chromium.until("navigator.serviceWorker.ready.then(() => caches.keys()).then(names => names.length === 2)", 30)
        files = len(json.loads((folder / "config.json").read_text(encoding="utf-8"))["files"])
        kept = "caches.keys().then(names => caches.open(names.find(n => n.startsWith('pyodide ')))).then(c => c.keys())"
        chromium.until(f"{kept}.then(keys => keys.length === {files})", 30)
        chromium.load("about:blank?")
    chromium.load(address)  # nobody answers there any more
    ready(chromium)
    assert "✓ Solved." in check(chromium, EXERCISES[0].solution)
    chromium.load("about:blank?")


def test_a_network_learns_points_in_the_plane(opened):
    browser = opened("plane")
    told = "document.querySelector('#panel-plane .told').textContent"
    browser.until(f"/^Step 0: .* 114 parameters/.test({told})", 30)
    started = plane.start("moons", 0.08, 8, "tanh")
    assert f"loss {started['loss']:.3g}, " in browser.run(told)
    press(browser, "Train", "plane")
    browser.until(f"/ (9\\d[.\\d]*|100) % of 240 points right/.test({told})", 60)
    press(browser, "Stop", "plane")
    browser.until("document.querySelector('#panel-plane .primary').disabled === false", 30)
    at = "(x, y) => [...document.querySelector('.plane-picture').getContext('2d').getImageData(x, y, 1, 1).data]"
    top, bottom = browser.run(f"({at})(240, 20)"), browser.run(f"({at})(240, 460)")
    assert top[2] > top[0]  # blue
    assert bottom[0] > bottom[2]  # orange
    for name, value in (("data", "spiral"), ("activation", "relu")):
        browser.run(f"document.querySelector('#panel-plane [name={name}][value={value}]').click()")
    browser.run(
        "(i => { i.value = '3'; i.dispatchEvent(new Event('input')); i.dispatchEvent(new Event('change')) })"
        "(document.querySelector('#panel-plane [type=range]'))"
    )
    parameters = 3 * 3 + 4 * 3 + 4 * 2
    browser.until(f"/^Step 0: .* {parameters} parameters/.test({told})", 30)
    assert "width 3 neurons" in browser.text("#panel-plane")
    press(browser, "Step", "plane")
    browser.until(f"/^Step 1:/.test({told})", 30)
    plane.start("spiral", 0.08, 3, "relu")
    right = plane.advance(0, 0.01)["loss"]
    assert float(browser.run(f"/loss ([.\\d]+)/.exec({told})[1]")) == pytest.approx(right, abs=6e-4)
    assert np.isfinite(right)
