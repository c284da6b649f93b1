"""Every Python block of the README and the docs runs and prints what the page shows; so does every docstring example."""

from __future__ import annotations

import doctest
import importlib.util
import io
import pkgutil
import re
from contextlib import redirect_stdout
from pathlib import Path
from types import FunctionType

import pytest

import tinygrad_cnn

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
# "```python needs torch, safetensors" opens a block that runs only where these are installed.
# A "```text" block right beneath it shows what it prints; "..." stands for any text, as in doctest.
BLOCK = re.compile(
    r"^```python(?: needs ([\w, ]+))?\n(.*?)^```(?:\n+```text\n(.*?)^```)?",
    re.MULTILINE | re.DOTALL,
)
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
ABSENT = {
    name for name, needed in {"special": "scipy", "sklearn": "sklearn"}.items() if not importlib.util.find_spec(needed)
}
MODULES = [
    module.name
    for module in pkgutil.walk_packages(tinygrad_cnn.__path__, "tinygrad_cnn.")
    if module.name.split(".")[1] not in ABSENT
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```py"), "fence Python blocks as ```python, so that they are run"
    namespace: dict[str, object] = {"__name__": page.stem}
    for block in blocks:
        line = text[: block.start(2)].count("\n")
        code = compile("\n" * line + block.group(2), str(page), "exec")
        if not all(importlib.util.find_spec(name) for name in re.findall(r"\w+", block.group(1) or "")):
            continue
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, namespace)
        if block.group(3) is not None:
            check_output(block.group(3), printed.getvalue(), f"{page.name}, the output beneath line {line}")


def check_output(shown: str, printed: str, where: str) -> None:
    """Raise unless `printed` is what the page shows. Speeds and times differ from run to run, and are not compared."""
    example = doctest.Example("", untimed(shown))
    checker = doctest.OutputChecker()
    if not checker.check_output(example.want, untimed(printed), OPTIONS):
        raise AssertionError(f"{where}:\n{checker.output_difference(example, untimed(printed), OPTIONS)}")


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_in_the_text_exist(page: Path):
    roots = {"tg": tinygrad_cnn, "nn": tinygrad_cnn.nn}
    fenced = re.compile(r"^```(.*?)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    text = fenced.sub(lambda block: block.group(2) if block.group(1) == "python" else "", page.read_text())
    missing = []
    for root, path in sorted(set(re.findall(r"(?<![\w.])(tg|nn)((?:\.[A-Za-z]\w*)+)", text))):
        found = roots[root]
        if path.split(".")[1] in ABSENT:
            continue
        for name in path[1:].split("."):
            if not hasattr(found, name):
                missing.append(root + path)
                break
            found = getattr(found, name)
    assert not missing, f"{page.name} names what there is not: {missing}"


def test_the_readme_counts_the_lines_of_the_engine():
    files = [path for folder in ("core", "tensor") for path in (ROOT / "tinygrad_cnn" / folder).glob("*.py")]
    lines = sum(len(path.read_text().splitlines()) for path in files)
    told = re.search(r"`core/` and `tensor/`, is ([\d,]+) lines", (ROOT / "README.md").read_text())
    assert told is not None
    assert int(told[1].replace(",", "")) == lines


def test_the_index_has_every_page():
    index = (DOCS / "README.md").read_text()
    missing = [page.name for page in DOCS.glob("*.md") if page.name != "README.md" and f"]({page.name})" not in index]
    assert not missing, f"docs/README.md does not link to {missing}; give each a line"


@pytest.mark.parametrize("name", ["tinygrad_cnn", *MODULES])
def test_docstring_examples(name: str):
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    broken = [target for target in targets if not (page.parent / target).exists()]
    assert not broken, f"{page.name} links to {broken}"
