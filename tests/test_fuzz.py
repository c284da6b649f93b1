"""Random arguments for every public function: an error is the library's own, never one of Python's inner machinery."""

from __future__ import annotations

import inspect
import os
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn, optim

CALLS = 60
INNER = (AttributeError, KeyError, NameError, RecursionError, AssertionError, SystemError)
STATEFUL = {
    "show",
    "save",
    "load",
    "fit",
    "compile",
    "manual_seed",
    "set_num_threads",
    "set_default_dtype",
    "keep_freed_memory",
}
MODULES = [tg, tg.functional, tg.linalg, tg.autograd, nn.init, nn, optim, optim.lr_scheduler, tg.metrics, tg.data]
OPERATORS = [
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lt", "le", "gt", "ge", "eq", "ne",
    "getitem", "contains",
]  # fmt: skip
PLAIN: list[Any] = [
    None, True, 0, 1, 2, -1, 3.5, float("nan"), 1j, "x", "mean", b"a", [1, 2], [1.0, 2.0, 3.0], (2, 3), (), {}, {"a": 1.0},
    {1, 2}, range(3), slice(None), ..., np.float32, object(), np.array(["a"]), np.array([None, 1], object), abs,
    np.random.default_rng(0),
]  # fmt: skip
SHAPES = [(), (2,), (3,), (2, 3), (3, 3), (1, 2, 3), (2, 1, 4, 4), (0,), (0, 3)]


def is_class(f: Any) -> bool:
    return inspect.isclass(f) and not issubclass(f, BaseException)


def public() -> Iterator[tuple[str, Any]]:
    for module in MODULES:
        for name in getattr(module, "__all__", dir(module)):
            f = getattr(module, name)
            if not name.startswith("_") and name not in STATEFUL and (inspect.isfunction(f) or is_class(f)):
                yield f"{module.__name__}.{name}", f
    special = {f"__{sort}{name}__" for name in OPERATORS for sort in ("", "r", "i")}
    for name in dir(tg.Tensor):
        f = inspect.getattr_static(tg.Tensor, name)
        if inspect.isfunction(f) and (not name.startswith("_") or name in special):
            yield f"Tensor.{name}", f


PUBLIC = dict(public())


def array(source: random.Random) -> np.ndarray:
    a = np.asarray(np.random.default_rng(source.randrange(99)).normal(size=source.choice(SHAPES)))
    return a.astype(source.choice([float, np.float32, int, bool, np.float16]))


def tensor(source: random.Random) -> tg.Tensor:
    a = array(source)
    leaf = tg.Tensor(a, requires_grad=a.dtype.kind == "f" and source.random() < 0.5)
    return leaf * 1.0 if leaf.requires_grad and source.random() < 0.3 else leaf


def value(source: random.Random) -> Any:
    kind = source.random()
    if kind < 0.35:
        return tensor(source)
    if kind < 0.5:
        return array(source)
    return [tensor(source) for _ in range(source.randrange(3))] if kind < 0.55 else source.choice(PLAIN)


def calls(name: str, f: Any, seed: int) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Arguments for f: by position those that it needs or a random number of them, and some by name."""
    source = random.Random(f"{name} {seed}")
    given = inspect.signature(f).parameters.values()
    positional = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in positional)
    named = [p.name for p in given if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    of_tensor = name.startswith("Tensor.")
    for _ in range(CALLS):
        count = needed if source.random() < 0.6 else source.randint(of_tensor, len(positional) + 1)
        args = [value(source) for _ in range(count)]
        if of_tensor:
            args[0] = tensor(source)
        yield args, {n: value(source) for n in named[count:] if source.random() < 0.15}


@pytest.mark.parametrize(
    "name", PUBLIC if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else []
)  # takes two minutes
def test_no_argument_meets_an_inner_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args, kwargs in calls(name, PUBLIC[name], random.randrange(10**9)):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                result = PUBLIC[name](*args, **kwargs)
                if inspect.isfunction(result) and args and not isinstance(args[0], tg.Tensor):
                    result(np.ones(3))
            except INNER as error:
                raise AssertionError(f"{name}(*{args!r:.400}, **{kwargs!r:.400}): {error!r}") from error
            except Exception:  # which one is right is for the tests of each function to say
                continue


CASES = {
    "a dict to a ufunc": (lambda: tg.arctan2({"a": 1}, np.ones(2)), "arctan2: an argument is not what it must be"),
    "beside a Tensor": (lambda: tg.hypot(tg.ones(2), object()), "hypot: an argument is not what it must be"),
    "an axis": (lambda: tg.ones(2).min(np.float32), "min: an argument is not what it must be"),
    "no Tensors": (
        lambda: tg.gradients(tg.ones(2), np.ones(2)),
        "gradients: `inputs` holds .* it must be a Tensor, or a list",
    ),
    "no function": (lambda: tg.op(np.ones(2)), r"op: it is given array\(\[1\., 1\.\]\); it must be a function"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_argument_of_another_kind_is_a_type_error(name):
    call, message = CASES[name]
    with pytest.raises(TypeError, match=message):
        call()


def test_lists_of_numbers_are_arrays():
    np.testing.assert_array_equal(tg.sort([3.0, 1.0, 2.0]), [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(tg.cummax([1.0, 3.0, 2.0], 0)[0], [1.0, 3.0, 3.0])
    np.testing.assert_allclose(tg.functional.glu([3.0, 4.0, 0.0, 0.0]), [1.5, 2.0])


def test_a_sorter_may_be_a_tensor():
    found = tg.searchsorted([2.0, 1.0], tg.Tensor([1.5]), sorter=tg.Tensor(np.array([1, 0])))
    assert found.tolist() == [1]


def test_other_targets_than_arrays_are_not_counted():
    assert tg.metrics.correct(tg.ones(2, 3), [0, 1]) is None
