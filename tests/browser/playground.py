"""What tests do on the playground."""

from __future__ import annotations

import json


def ready(browser):
    """Wait for Python."""
    browser.until("/^Python (is ready|was started anew)/.test(document.querySelector('.loading').textContent)", 90)


def press(browser, text, tab="train"):
    """Click on a button by its text, once it can be pressed."""
    button = (
        f"[...document.querySelectorAll('#panel-{tab} button')].find(b => b.innerText.includes({json.dumps(text)}))"
    )
    browser.until(f"!{button}.disabled", 30)
    browser.run(f"{button}.click()")


def write(browser, editor, text):
    """Replace the text of an editor, as typing does."""
    browser.run(f"(e => {{ e.focus(); e.select(); }})(document.querySelector({json.dumps(editor)}))")
    browser.type(text)
