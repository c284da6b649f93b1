"""What a type checker makes of a user's program."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.tensor.methods import Methods

api = pytest.importorskip("mypy.api", reason="types are checked where mypy is installed")

ROOT = Path(__file__).parents[1]

PROGRAM = """
import numpy as np
import tinygrad_cnn as tg

import tinygrad_cnn.testing
from tinygrad_cnn import Tensor, conv2d, mse, optim

w = tg.randn(4, 1, 3, 3, requires_grad=True)
optimizer = optim.Adam([w], lr=1e-3)

@tg.no_grad()
def predict(x: Tensor) -> Tensor:
    return conv2d(x, w, stride=2, padding=1).relu()

@tg.no_grad
def halves(x: Tensor) -> Tensor:
    return x / 2 - tg.softmax(x)

def step(x: Tensor) -> float:
    loss: Tensor = mse(conv2d(x, w).reshape(len(x), -1), np.zeros(1))
    optimizer.zero_grad()
    with tg.enable_grad():
        loss.backward()
    optimizer.step()
    return float(loss.item())

reveal_type(predict(w))
reveal_type(halves(w))
reveal_type((w == w.argmax(axis=1)).sum())
reveal_type(abs(w != 1) + tg.sum(w, 0))
reveal_type(tg.functional.relu(w))
reveal_type(tg.functional.cross_entropy(w, np.zeros(4)))
reveal_type(tg.autograd.grad(w.sum(), w)[0])
reveal_type(tg.gradients(w.sum(), [w], create_graph=True)[0])
reveal_type(tg.testing.strategies.shapes)

(g,) = tg.grad(w.sum(), w, allow_unused=True)
if g is not None:
    reveal_type(g)
"""


WRONG = "import tinygrad_cnn as tg\ntg.sum(tg.ones(2), dim=0)\ntg.functional.nothing_of_this_name\n"
WRONG += "tg.gradients(tg.ones(2), tg.ones(2), allow_unused=True)[0].shape\n"


def _public_names() -> Iterator[str]:
    """A program that reads every public name: a checker must find those that `import *` brings, too."""
    yield "import tinygrad_cnn as tg"
    waiting = [("tg", tg)]
    for path, module in waiting:
        for name in module.__all__:
            yield f"{path}.{name}"
            if isinstance(thing := getattr(module, name), ModuleType) and hasattr(thing, "__all__"):
                waiting.append((f"{path}.{name}", thing))


def test_a_typed_program_passes_the_strictest_check_and_what_a_function_does_not_take_is_an_error(tmp_path):
    """Both in one run, which finds the package in mypy's cache if it was checked before."""
    for name, program in {"typed": PROGRAM, "wrong": WRONG, "names": "\n".join(_public_names())}.items():
        (tmp_path / f"{name}.py").write_text(program, encoding="utf-8")
    report, _, status = api.run(["--strict", *map(str, sorted(tmp_path.glob("*.py")))])
    errors = [line for line in report.splitlines() if " error: " in line]
    assert status == 1, report
    assert len(errors) == 3, report
    assert all("wrong.py" in line for line in errors), report
    assert report.count('Revealed type is "tinygrad_cnn.tensor.tensor.Tensor"') == 9, report


def test_the_types_of_methods_are_those_of_the_functions_that_are_bound():
    stub = ast.parse((ROOT / "tinygrad_cnn/tensor/methods.pyi").read_text(encoding="utf-8"))
    (methods,) = [node for node in stub.body if isinstance(node, ast.ClassDef)]
    typed = {
        node.name: node.args for node in methods.body if isinstance(node, ast.FunctionDef) and not node.decorator_list
    }
    bound = {name: f for name, f in vars(Methods).items() if callable(f) and name != "__hash__"}
    assert typed.keys() - {"__hash__"} == bound.keys()
    for name, arguments in typed.items():
        if name.startswith("__"):
            continue
        (_, *given), args = (
            inspect.signature(bound[name]).parameters.values(),
            [*arguments.posonlyargs, *arguments.args][1:],
        )
        defaults = [inspect.Parameter.empty] * (len(args) - len(arguments.defaults)) + [
            *map(_value, arguments.defaults)
        ]
        expected = {arg.arg: default for arg, default in zip(args, defaults, strict=True)}
        if arguments.vararg:
            expected[arguments.vararg.arg] = inspect.Parameter.empty
        expected |= {a.arg: _value(d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)}
        assert [(p.name, p.default) for p in given] == [*expected.items()], name
        assert [p.name for p in given if p.kind is p.KEYWORD_ONLY] == [a.arg for a in arguments.kwonlyargs], name


def _value(node):
    return inspect.Parameter.empty if node is None else ast.literal_eval(node)


NAMESPACES = [
    "autograd", "data", "distributed", "functional", "io", "jax", "linalg", "metrics", "nn", "onnx", "optim",
    "sklearn", "special", "testing", "training", "viz",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMESPACES)
def test_the_names_that_completion_shows_are_public(name):
    pytest.importorskip({"special": "scipy"}.get(name, name if name in ("jax", "sklearn") else "numpy"))
    module = getattr(tg, name)
    shown = dir(module)
    assert set(module.__all__) <= set(shown)
    assert not [n for n in shown if n not in module.__all__ and not n.startswith("__")]


def test_strategies_are_there_without_an_import_of_their_own():
    script = "import tinygrad_cnn.testing as testing\nprint(testing.strategies.shapes.__name__)"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert run.stdout == "shapes\n"
