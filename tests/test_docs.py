"""Every Python block of the README and the docs runs and prints what the page shows; so does every docstring example."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import io
import pkgutil
import re
from contextlib import redirect_stdout
from pathlib import Path
from types import FunctionType

import numpy as np
import pytest

import tinygrad_cnn

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGE = ROOT / "tinygrad_cnn"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
API = sorted((DOCS / "api").glob("*.md"))
COURSE = sorted((DOCS / "course").glob("*.md"))  # whose code tests/test_course.py runs
# "```python needs torch, safetensors" opens a block that runs only where these are installed.
# A "```text" block right beneath it shows what it prints; "..." stands for any text, as in doctest.
BLOCK = re.compile(
    r"^```python(?: needs ([\w, ]+))?\n(.*?)^```(?:\n+```text\n(.*?)^```)?",
    re.MULTILINE | re.DOTALL,
)
FENCED = re.compile(r"^```(.*?)\n(.*?)^```", re.MULTILINE | re.DOTALL)
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
NEEDS = {
    "extra.autograd": "scipy", "extra.jax": "jax", "extra.numba.": "numba", "extra.sklearn": "sklearn",
    "extra.special": "scipy",
}  # fmt: skip
"""What modules need, by the beginning of their names."""
THEIRS = ("tinygrad_cnn.extra.autograd.numpy", "tinygrad_cnn.extra.autograd.scipy")
"""Functions of these have the docstrings of NumPy and SciPy."""
ABSENT = tuple(f"tinygrad_cnn.{name}" for name, needed in NEEDS.items() if not importlib.util.find_spec(needed))
MODULES = [
    module.name
    for module in pkgutil.walk_packages(tinygrad_cnn.__path__, "tinygrad_cnn.")
    if not module.name.startswith((*ABSENT, *THEIRS))
]


@pytest.fixture(autouse=True)
def own_name():
    """What pages and examples of the drop-in for HIPS/autograd do to the class Tensor: it has another name until they end."""
    cls = tinygrad_cnn.Tensor
    before = cls.__module__, cls.__qualname__
    yield
    cls.__module__, cls.__qualname__ = before


class ShownErrors(ast.NodeTransformer):
    """A page shows an error by ``try`` and ``except`` without ``else``: the block then fails if nothing is raised."""

    def visit_Try(self, node: ast.Try) -> ast.Try:
        self.generic_visit(node)
        if node.handlers and not node.orelse:
            node.orelse = [ast.copy_location(ast.parse("assert False, 'nothing was raised'").body[0], node)]
        return node


@pytest.mark.part(3)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path, monkeypatch, sigint):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```py"), "fence Python blocks as ```python, so that they are run"
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks:
        line = text[: block.start(2)].count("\n")
        tree = ShownErrors().visit(ast.parse("\n" * line + block.group(2), str(page)))
        code = compile(ast.fix_missing_locations(tree), str(page), "exec")
        if not all(importlib.util.find_spec(name) for name in re.findall(r"\w+", block.group(1) or "")):
            continue
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, namespace)
        if block.group(3) is not None:
            check_output(block.group(3), printed.getvalue(), f"{page.name}, the output beneath line {line}")
    for picture in sorted(tmp_path.glob("*.png")):
        assert re.search(rf"^```\n+!\[[^]]+\]\(images/{picture.name}\)$", text, re.MULTILINE), (
            f"no page shows {picture.name}"
        )
        if importlib.util.find_spec("matplotlib"):  # which reads the pictures
            check_picture(picture, DOCS / "images" / picture.name)


def check_picture(drawn: Path, shown: Path) -> None:
    """Raise unless two pictures are alike: tiles of 8 x 8 pixels have nearly the same mean color, as fonts may differ."""
    from matplotlib.image import imread

    tiles = []
    for picture in (imread(drawn), imread(shown)):
        height, width = picture.shape[0] // 8, picture.shape[1] // 8
        tiles.append(picture[: 8 * height, : 8 * width, :3].reshape(height, 8, width, 8, 3).mean((1, 3)))
    same = tiles[0].shape == tiles[1].shape and abs(tiles[0] - tiles[1]).max() < 0.1
    assert same, f"{shown.name} is not what the page draws; run `python docs/draw_guides.py`"


def test_a_picture_of_something_else_is_noticed(tmp_path):
    plt = pytest.importorskip("matplotlib.image")
    page = np.ones((80, 160, 3), np.float32)
    curve = page.copy()
    for x in range(160):
        curve[40 + round(20 * np.sin(x / 20)), x] = 0
    for name, image in {"page": page, "curve": curve, "small": page[8:]}.items():
        plt.imsave(tmp_path / f"{name}.png", image)
    check_picture(tmp_path / "curve.png", tmp_path / "curve.png")
    for other in ("page", "small"):
        with pytest.raises(AssertionError, match=f"{other}.png is not what the page draws"):
            check_picture(tmp_path / "curve.png", tmp_path / f"{other}.png")


def check_output(shown: str, printed: str, where: str) -> None:
    """Raise unless `printed` is what the page shows. Speeds and times differ from run to run, and are not compared."""
    example = doctest.Example("", untimed(shown))
    checker = doctest.OutputChecker()
    got = "\n".join([as_shown(line, example.want) for line in untimed(printed).split("\n")])
    if not checker.check_output(example.want, got, OPTIONS):
        raise AssertionError(f"{where}:\n{checker.output_difference(example, got, OPTIONS)}")


def as_shown(line: str, shown: str) -> str:
    """A line about an epoch as the page shows it, if its numbers are nearly the same: training on another processor rounds sums
    in another order, and carries that on."""
    number, about = r"\b\d\.\d{4}\b", line.partition("loss")[0]
    for other in shown.split("\n") if about.startswith("epoch") else ():
        if other.startswith(about) and re.sub(number, "", other) == re.sub(number, "", line):
            pairs = zip(re.findall(number, line), re.findall(number, other), strict=True)
            if all(abs(float(a) - float(b)) <= 0.02 for a, b in pairs):
                return other
    return line


def test_every_call_on_the_cheat_sheet_works():
    tg, nn = tinygrad_cnn, tinygrad_cnn.nn
    cells = re.findall(r"^\| (`.*?) \|", (DOCS / "cheat-sheet.md").read_text(encoding="utf-8"), re.MULTILINE)
    calls = [call for cell in cells for call in re.findall(r"`([^`]+)`", cell)]
    assert len(calls) > 25
    for call in calls:
        x = tg.Tensor(np.ones((2, 3)), requires_grad=True)
        names = {
            "tg": tg, "nn": nn, "np": np, "x": x, "array": np.ones(3), "f": lambda x: (x * x).sum(), "xs": np.ones((2, 3)),
            "loss": (x * x).sum(), "p": x, "optimizer": tg.optim.SGD([x], lr=1.0), "y": x, "target": np.ones((2, 3)),
            "scores": tg.zeros(2, 3), "labels": np.array([0, 1]),
        }  # fmt: skip
        exec(f"{call} pass" if call.startswith("with ") else call, names)


def untimed(text: str) -> str:
    return re.sub(r"[\d,]+ images/s .*", "(speed and time)", text)


@pytest.mark.parametrize(
    ("shown", "agrees"),
    [
        ("epoch 1  loss 0.5  1,234 images/s  0:00 left\n4 steps\n", True),
        ("epoch 1  loss 0.5  99 images/s  0.1 s\n...\n", True),
        ("epoch 1  loss ...  99 images/s  0.1 s\n4 steps\n", True),
        ("epoch 1  loss 0.6  1,234 images/s  0:00 left\n4 steps\n", False),
        ("epoch 1  loss 0.5  1,234 images/s  0:00 left\n", False),
        ("epoch 1  loss 0.5  1,234 images/s  0:00 left\n5 steps\n", False),
    ],
)
def test_output_is_compared(shown: str, agrees: bool):
    printed = "epoch 1  loss 0.5  56,789 images/s  1:23 left\n4 steps\n"
    if agrees:
        check_output(shown, printed, "here")
    else:
        with pytest.raises(AssertionError, match="here:\nExpected:"):
            check_output(shown, printed, "here")


def test_numbers_of_an_epoch_may_differ_a_little():
    shown = "epoch 2/10  loss 0.0498  accuracy 0.9833\n"
    check_output(shown, "epoch 2/10  loss 0.0501  accuracy 0.9820\n", "here")
    for printed in ("loss 0.0498  accuracy 0.9533", "loss 0.0498  val_loss 0.9833", "loss 0.0498"):
        with pytest.raises(AssertionError, match="here"):
            check_output(shown, f"epoch 2/10  {printed}\n", "here")
    with pytest.raises(AssertionError, match="here"):
        check_output(shown, "epoch 3/10  loss 0.0498  accuracy 0.9833\n", "here")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_output_stands_beneath_the_block_that_prints_it(page: Path):
    text = page.read_text(encoding="utf-8")
    compared = {block.start(3) for block in BLOCK.finditer(text) if block.group(3) is not None}
    for fence in FENCED.finditer(text):
        line = text[: fence.start()].count("\n") + 1
        kind = fence.group(1).split()[0] if fence.group(1) else ""
        assert kind in {"python", "text", "sh", "bibtex", "{toctree}", "{include}"}, (
            f"{page.name}, line {line}: nobody checks a block of {kind!r}"
        )
        quoted = re.match(r"# \S+\n", fence.group(2))  # the source of a quotation; the notebook's tests look there
        found = kind != "text" or fence.start(2) in compared or (page.stem == "notebook" and quoted)
        assert found, f"{page.name}, line {line}: no block above prints this"


@pytest.mark.parametrize("page", [*PAGES, *COURSE], ids=lambda page: str(page.relative_to(ROOT)))
def test_names_in_the_text_exist(page: Path):
    roots = {"tg": tinygrad_cnn, "nn": tinygrad_cnn.nn}
    text = FENCED.sub(
        lambda block: block.group(2) if block.group(1) == "python" else "", page.read_text(encoding="utf-8")
    )
    missing = []
    for root, path in sorted(set(re.findall(r"(?<![\w.])(tg|nn)((?:\.[A-Za-z]\w*)+)", text))):
        found = roots[root]
        if f"tinygrad_cnn.extra{path}".startswith(ABSENT):
            continue
        for name in path[1:].split("."):
            if not hasattr(found, name):
                missing.append(root + path)
                break
            found = getattr(found, name)
    assert not missing, f"{page.name} names what there is not: {missing}"


def test_the_index_has_every_page():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in DOCS.glob("*.md")} - {"README.md", "index.md"}
    missing = [name for name in pages if f"]({name})" not in index]
    assert not missing, f"docs/README.md does not link to {missing}; give each a line"


@pytest.mark.parametrize("name", ["tinygrad_cnn", *MODULES])
def test_docstring_examples(name: str, monkeypatch):
    monkeypatch.setattr(
        tinygrad_cnn.Tensor, "__module__", tinygrad_cnn.Tensor.__module__
    )  # which autograd.install sets
    module = importlib.import_module(name)
    tests = doctest.DocTestFinder(exclude_empty=True).find(module, name)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    for test in [*tests, *_functions_made_by_op(module, name)]:
        runner.run(test)
    assert not runner.failures, f"{runner.failures} failed in {name}; see the captured output"


def _functions_made_by_op(module, name):
    """Op functions are written by exec, so doctest does not see that they belong to the module."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for key, value in vars(module).items():
        if isinstance(value, FunctionType) and hasattr(value, "op") and value.__module__ == name:
            yield from finder.find(value, f"{name}.{key}", module=False, globs={})


@pytest.mark.parametrize(
    "page", [*PAGES, *API, *COURSE, ROOT / "tests/benchmarks/history.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_inside_the_repository_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", FENCED.sub("", page.read_text(encoding="utf-8")))
    broken = []
    for target, anchor in targets:
        path = page.parent / target if target else page
        if not path.exists() or (anchor and anchor not in _anchors(path)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    assert not broken, f"{page.name} links to {broken}"


def _anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in plain}
