"""What a reader sees of an op: its definition, and tracebacks that name it."""

from __future__ import annotations

import inspect
import re
import traceback

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.core.registry import registry

OPS = [op for name, op in registry.items() if name.startswith("tinygrad_cnn.")]
DEFINED = [op for op in OPS if not isinstance(op.raw, np.ufunc)]


@pytest.mark.parametrize("op", DEFINED, ids=lambda op: op.name)
def test_getsource_shows_the_definition(op):
    source = inspect.getsource(op.function)
    assert f"def {inspect.unwrap(op.raw).__code__.co_name}(" in source
    assert source == inspect.getsource(op.raw)


@pytest.mark.parametrize("op", DEFINED, ids=lambda op: op.name)
def test_a_definition_does_not_mention_its_acceleration(op):
    words = r"\b(out=|buffer|scratch|workspace|thread|prepare|task|accelerate|along=)"
    assert not re.findall(words, inspect.getsource(op.raw))
    assert "out" not in inspect.signature(op.raw).parameters


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_a_function_declares_the_parameters_of_its_op_and_no_others(op):
    code = op.build().__code__
    count = code.co_argcount + code.co_kwonlyargcount
    assert {*code.co_varnames[:count]} == {*inspect.signature(op.function).parameters}


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: x + tg.ones(4), "add"),
        (lambda x: x @ x, "matmul"),
        (lambda x: tg.reshape(x, (5,)), "reshape"),
        (lambda x: x.sum(axis=3), "sum"),
    ],
)
def test_a_traceback_goes_from_the_users_line_to_the_op(call, name):
    x = tg.ones(2, 3, requires_grad=True)
    for _ in range(2):
        with pytest.raises((ValueError, IndexError), match=name) as caught:
            call(x)
    frames = traceback.extract_tb(caught.value.__traceback__)
    users = max(i for i, frame in enumerate(frames) if frame.filename == __file__)
    assert "lambda" in (frames[users].line or "")
    assert {frame.name for frame in frames[users + 1 :]} - {"explained"} == {name}, "no frame of the machinery"
    assert frames[-1].line, "the line of the last frame can be shown"
