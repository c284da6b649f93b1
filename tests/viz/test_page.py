"""The file: one, of bounded size, that nothing in the data can break."""

from __future__ import annotations

import json
import os
import re
import stat
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.extra.show import page as pages


def data_of(text):
    return json.loads(text.split('id="data">')[1].split("</script>")[0])


def small(name="loss"):
    x = tg.Tensor(2.0, requires_grad=True)
    return tg.show(x * x, title=name)


def heavy():
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((16, 16, 64, 64)).astype(np.float32) for _ in range(12)]
    return tg.show(lambda *xs: tg.stack([x.tanh() for x in xs]).mean(), *images)


def test_names_cannot_end_the_script_or_become_markup():
    evil = "</script><script>alert(1)</script><!-- \u2028 @DATA@ & é"
    text = small(evil).html()
    assert "<script>alert" not in text
    assert "<!--" not in text.split('id="data">')[1].split("</script>")[0]
    assert data_of(text)["title"] == evil
    assert text.count('id="data"') == 1


def test_the_file_is_self_contained(tmp_path):
    text = small().save(tmp_path / "graph.html").read_text(encoding="utf-8")
    ours = text.replace(pages.asset("dagre/dagre.min.js"), "")
    assert not re.findall(r'(?:src|href)="(?!data:)', ours)
    assert not re.findall(r"^\s*import |sourceMappingURL|@[A-Z]{3,}@", ours, re.MULTILINE)
    assert [u for u in re.findall(r"https?://[\w./]+", ours) if u != "http://www.w3.org/2000/svg"] == []


def test_nan_and_infinity_are_strings_in_the_file_and_numbers_in_the_data():
    with np.errstate(all="ignore"):
        page = tg.show(lambda x: x.log(), np.array([0.0, -1.0, 1.0]))
    assert data_of(page.html())["nodes"][1]["value"]["values"] == ["-Infinity", "NaN", 0.0]
    assert page.data["nodes"][1]["value"]["values"][0] == -np.inf


@pytest.mark.slow
def test_a_page_stays_below_its_limit_and_says_what_is_missing():
    page = heavy()
    full = page.html(max_bytes=None)
    assert len(full) > 1_000_000
    limited = page.html(max_bytes=600_000)
    assert len(limited.encode()) <= 600_000
    assert "pictures of gradients, other pictures were left out" in data_of(limited)["notes"][-1]
    assert data_of(full)["notes"] == page.data["notes"]
    assert page.data["nodes"][0]["value"]["picture"]  # the data is as it was
    assert len(data_of(limited)["nodes"]) == len(page.data["nodes"])


def test_a_page_that_cannot_be_small_enough_is_refused(tmp_path):
    least = 80_000
    with pytest.raises(ValueError, match=r"needs [\d,]+ bytes and more, and `max_bytes` is 80,000") as caught:
        small().save(tmp_path / "graph.html", max_bytes=least)
    assert list(tmp_path.iterdir()) == []
    needed = int(re.search(r"needs ([\d,]+)", str(caught.value))[1].replace(",", ""))
    assert least < needed
    small().html(max_bytes=needed + 200)


def test_a_path_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="the page cannot be written.*give another path"):
        small().save(tmp_path / "nowhere" / "graph.html")
    folder = tmp_path / "graph.html"
    folder.mkdir()
    with pytest.raises(OSError, match="the page cannot be written"):
        small().save(folder)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="links, permissions and pipes of POSIX")
def test_links_and_permissions_stay_and_a_pipe_is_no_path(tmp_path):
    kept = tmp_path / "kept.html"
    kept.write_text("before", encoding="utf-8")
    kept.chmod(0o600)
    link = tmp_path / "link.html"
    link.symlink_to(kept.name)
    small().save(link)
    assert link.is_symlink()
    assert kept.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="the page cannot be written: it is a device or a pipe, not a file"):
        small().save(pipe)
    assert pipe.is_fifo()
    for folder in (tmp_path, Path()):
        with pytest.raises(IsADirectoryError, match="it is a folder, not a file"):
            small().save(folder)
    small().save(tmp_path / ("n" * 250 + ".html"))


def test_saving_replaces_a_file_in_one_stroke(tmp_path, monkeypatch):
    path = small("first").save(tmp_path / "graph.html")
    before = path.read_bytes()

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pages.os, "replace", fails)
    with pytest.raises(OSError, match="No space left"):
        small("second").save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_open_shows_a_saved_file(monkeypatch):
    seen = []
    monkeypatch.setattr(pages.webbrowser, "open", lambda url: seen.append(url) or True)
    path = small().open()
    assert seen == [path.as_uri()]
    assert "<!doctype html>" in path.read_text(encoding="utf-8")
    path.unlink()
    monkeypatch.setattr(pages.webbrowser, "open", lambda url: False)
    with pytest.raises(RuntimeError, match="no browser was found; the page is in ") as caught:
        small().open()
    Path(str(caught.value).rpartition(" in ")[2]).unlink()


def test_a_notebook_gets_a_frame_of_its_own():
    text = small('a "quoted" <name>')._repr_html_()
    assert text.startswith("<iframe")
    assert 'sandbox="allow-scripts allow-downloads"' in text
    source = re.search(r'srcdoc="([^"]*)"', text)
    assert source is not None
    assert "&lt;!doctype html&gt;" in source[1]


def test_repr_says_how_to_look():
    assert repr(small()) == "<Page of 'loss': 2 values; .save(path), .open() or .data>"


# The scripts


def test_modules_can_be_joined_no_two_have_the_same_name_for_something():
    names = []
    for module in pages.MODULES:
        text = pages.asset(f"{module}.js")
        names += re.findall(r"^(?:export )?(?:async )?(?:function\*?|const|let|class) (\w+)", text, re.MULTILINE)
    assert len(names) > 40
    assert sorted(set(names)) == sorted(names)


def test_modules_import_only_from_those_before_them():
    for i, module in enumerate(pages.MODULES):
        sources = re.findall(r'^import \{[^}]*\} from "\./(\w+)\.js";$', pages.asset(f"{module}.js"), re.MULTILINE)
        assert set(sources) <= set(pages.MODULES[:i]), module
    assert "import" not in pages.joined(['import { a } from "./a.js";\nlet b;'])


def test_the_vendored_layout_has_its_licence_and_version():
    folder = files("tinygrad_cnn.extra.show").joinpath("assets", "dagre")
    assert "Permission is hereby granted" in folder.joinpath("LICENSE").read_text(encoding="utf-8")
    version = re.search(r"`@dagrejs/dagre` ([\d.]+)", folder.joinpath("README.md").read_text(encoding="utf-8"))
    assert version is not None
    assert version[1] in folder.joinpath("dagre.min.js").read_text(encoding="utf-8")
