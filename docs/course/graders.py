"""Grades an answer. A grader gets the names that the answer defines, and says what is wrong, or how good the answer is.

Graders use what the library tests itself with: `gradcheck`, mutants, and its own results as a measure.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.testing import gradcheck, survivors

Names: TypeAlias = dict[str, Any]
Grader: TypeAlias = Callable[[Names], str]

ACCURACY = 0.9
"""Of the network of the last exercise, on digits that it was not trained on."""
TRAINING = 1500


class NotSolved(Exception):
    """An answer is incomplete or wrong. The message says where."""


GRADERS: dict[int, Grader] = {}


def grader(number: int) -> Callable[[Grader], Grader]:
    """Register the grader of an exercise."""
    return lambda function: GRADERS.setdefault(number, function)


def grade(number: int, source: str, filename: str = "your answer", line: int = 1) -> tuple[str, Names]:
    """Run an answer and grade it. Returns what was found, and the names of the answer.

    `line` is that of the answer's first line in the file.

    Raises:
        NotSolved: if the answer is incomplete or wrong.
        Exception: whatever the answer itself raises.
    """
    tree = ast.parse("\n" * (line - 1) + source, filename)
    inside = {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value is ... and id(node) not in inside:
            raise NotSolved(f"line {node.lineno} still has ...; replace it with your code")
    names: Names = {"tg": tg, "nn": nn, "np": np, "__name__": "answer"}
    exec(compile(tree, filename, "exec"), names)
    return GRADERS[number](names), names


def require(names: Names, name: str) -> Any:
    """What the answer calls by a name."""
    if name not in names:
        raise NotSolved(f"`{name}` is not there any more; keep the names of the exercise")
    return names[name]


def numbers(value: Any, what: str) -> np.ndarray:
    """A result of the answer as an array of float64."""
    try:
        found = np.array(value.numpy() if isinstance(value, tg.Tensor) else value)
        if found.dtype.kind in "biuf":
            return found.astype(np.float64)
    except ValueError:  # lists of different lengths
        pass
    raise NotSolved(f"{what} is {value!r}; it must be a number or an array of numbers")


def close(value: Any, right: Any, what: str, rtol: float = 1e-9) -> float:
    """The largest error of a result, relative to the largest right number or to 1.

    Raises:
        NotSolved: if it is above `rtol`.
    """
    found, known = numbers(value, what), numbers(right, what)
    if found.shape != known.shape:
        raise NotSolved(f"{what} has the shape {found.shape}; it should be {known.shape}")
    if not known.size:
        return 0.0
    off = np.where(np.isfinite(found), np.abs(found - known), np.inf)
    error = float(off.max() / max(1.0, np.abs(known).max()))
    if error > rtol:
        at = np.unravel_index(off.argmax(), off.shape)
        where = f"{what}[{', '.join(map(str, at))}]" if at else what
        raise NotSolved(f"{where} is {found[at]:.9g}; it should be {known[at]:.9g}")
    return error


def checked(f: Any, *inputs: np.ndarray, order: int = 2, what: str = "") -> None:
    """Raise NotSolved with the report of gradcheck, unless it finds nothing."""
    report = gradcheck(f, *inputs, order=order)
    if not report:
        raise NotSolved(f"{what}{str(report).partition(chr(10) + 'Reproduce with:')[0]}")


def op_of(names: Names, name: str) -> Any:
    """An op of the answer with a rule for each of its inputs."""
    function = require(names, name)
    op = getattr(function, "op", None)
    if op is None:
        raise NotSolved(f"`{name}` is not an op any more; keep the line @tg.op above it")
    missing = [each for each in op.signature.inputs if each not in op.rules]
    if missing:
        raise NotSolved(f"`{name}` has no rule for {', '.join(missing)}")
    return function


@grader(1)
def derivative(names: Names) -> str:
    """Slopes of four functions, compared with exact ones."""
    found = require(names, "derivative")
    worst = 0.0
    for f, known in (("sin", tg.sin), ("exp", tg.exp), ("tanh", tg.tanh), ("square", tg.square)):
        for x in (-1.3, 0.2, 0.7, 1.9):
            value = found(getattr(np, f), np.float64(x))
            worst = max(worst, close(value, tg.grad(known)(x), f"the slope of np.{f} at {x}", rtol=2e-9))
    return f"Slopes of four functions at four points: the largest error is {worst:.1e}."


@grader(2)
def graph(names: Names) -> str:
    """Gradients of six values, compared with those of the library."""
    found = require(names, "slopes")
    rng = np.random.default_rng(0)
    for given in ((2.0, -3.0, -2.0), *rng.normal(size=(3, 3)).tolist()):
        a, b, f = leaves = [tg.Tensor(np.float64(each), requires_grad=True) for each in given]
        e = a * b
        d = e + a
        L = d * f
        known = dict(zip("Lfdeba", tg.gradients(L, [L, f, d, e, b, a]), strict=True))
        values = found(*given)
        where = ", ".join(f"{name} = {leaf.item():.3g}" for name, leaf in zip("abf", leaves, strict=True))
        for name, right in known.items():
            close(values[name], right, f"at {where}: the gradient in {name}")
    return "Six gradients agree with those of the library, for four choices of a, b and f."


@grader(3)
def product(names: Names) -> str:
    """Rules of a product, by gradcheck."""
    a, b = np.random.default_rng(0).normal(size=(2, 3, 3))
    checked(op_of(names, "product"), a, b)
    checked(op_of(names, "product"), a, b[0])
    return "gradcheck agrees with both rules and with their derivatives."


@grader(4)
def broadcasting(names: Names) -> str:
    """The answer as the rule of an addition that leaves broadcasting to it, by gradcheck."""
    sum_to = require(names, "sum_to")

    @tg.op
    def plus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(a + b)

    plus.vjp(a=lambda g, in_shape: sum_to(g, in_shape), b=lambda g, in_shape: sum_to(g, in_shape))
    rng = np.random.default_rng(0)
    pairs = [
        ((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 3), (3, 1)), ((3, 3), (3,)), ((3, 1), (1, 4)), ((), (2, 3)),
        ((2, 1, 4), (3, 1)),
    ]  # fmt: skip
    for one, other in pairs:
        g = np.ones(np.broadcast_shapes(one, other))
        for shape in (one, other):
            result = sum_to(g, shape)
            if np.shape(result) != shape:
                raise NotSolved(f"sum_to(g, {shape}) of g {g.shape} has the shape {np.shape(result)}")
        checked(plus, rng.normal(size=one), rng.normal(size=other), order=1, what=f"{one} + {other}: ")
    return f"gradcheck agrees for {len(pairs)} pairs of shapes."


@grader(5)
def relu(names: Names) -> str:
    """A rule by gradcheck and at the kink, and the answer's points by mutants of that rule."""
    ramp, points = op_of(names, "ramp"), numbers(require(names, "points"), "points")
    checked(ramp, np.array([[-2.0, -0.5, -1e-3], [1e-3, 0.5, 2.0]]))
    x = tg.Tensor(np.zeros(1), requires_grad=True)
    close(tg.gradients(ramp(x).sum(), [x])[0], [0.0], "the slope at zero")
    if points.size != 4:
        raise NotSolved(f"there are {points.size} points; choose four")
    checked(ramp, points, what="the right rule fails at your points: ")
    missed = survivors(ramp, lambda: gradcheck(ramp, points, order=1))
    if missed:
        raise NotSolved(
            "the rule is right, but with your points gradcheck does not notice "
            + ", nor ".join(f"the mutant {each.name!r}" for each in missed)
        )
    return "The rule is right, its slope at zero is 0, and with your points gradcheck notices every mutant."


@grader(6)
def matmul(names: Names) -> str:
    """Rules of a matrix product, by gradcheck."""
    rng = np.random.default_rng(0)
    for one, other in (((2, 3), (3, 4)), ((3, 3), (3, 3))):
        checked(op_of(names, "matmul"), rng.normal(size=one), rng.normal(size=other), what=f"{one} @ {other}: ")
    return "gradcheck agrees for rectangular and for square matrices, to second order."


@grader(7)
def backward(names: Names) -> str:
    """Random programs, recorded for the answer and for the library."""
    Node, walk = require(names, "Node"), require(names, "backward")
    rng = np.random.default_rng(0)
    count = 0
    for length in (1, 3, 6, 12, 24):
        nodes, tensors = _program(Node, rng, length)
        walk(nodes)
        right = tg.gradients(tensors[-1], tensors, allow_unused=True)
        for i, (node, known) in enumerate(zip(nodes, right, strict=True)):
            close(
                node.grad, 0.0 if known is None else known, f"a program of {len(nodes)} nodes: the gradient of node {i}"
            )
            count += 1
    return f"{count} gradients in five random programs agree with those of the library."


def _program(Node: Any, rng: np.random.Generator, length: int) -> tuple[list[Any], list[tg.Tensor]]:
    """The same program twice: as the answer's nodes, and as Tensors."""
    tensors = [tg.Tensor(value, requires_grad=True) for value in rng.normal(size=3)]
    nodes = [Node(t.item()) for t in tensors]
    for _ in range(length):
        i, j = rng.integers(len(nodes), size=2)
        a, b = nodes[i].value, nodes[j].value
        op = rng.integers(4)
        if op == 0:
            nodes.append(Node(a + b, (nodes[i], nodes[j]), (1.0, 1.0)))
            tensors.append(tensors[i] + tensors[j])
        elif op == 1:
            nodes.append(Node(a * b, (nodes[i], nodes[j]), (b, a)))
            tensors.append(tensors[i] * tensors[j])
        elif op == 2:
            nodes.append(Node(a - b, (nodes[i], nodes[j]), (1.0, -1.0)))
            tensors.append(tensors[i] - tensors[j])
        else:
            nodes.append(Node(np.sin(a), (nodes[i],), (np.cos(a),)))
            tensors.append(tg.sin(tensors[i]))
    return nodes, tensors


@grader(8)
def second(names: Names) -> str:
    """A rule to third order by gradcheck, and second derivatives of three functions."""
    x = np.array([-1.2, -0.3, 0.4, 1.5])
    checked(op_of(names, "bell"), x, order=3)
    curvature = require(names, "curvature")
    for name, f, known in (
        ("sin", tg.sin, -np.sin(x)),
        ("exp", tg.exp, np.exp(x)),
        ("bell", names["bell"], (4 * x * x - 2) * np.exp(-x * x)),
    ):
        close(curvature(f, x), known, f"the second derivative of {name}")
    return "gradcheck agrees to third order, and three second derivatives are right."


@grader(9)
def cross_entropy(names: Names) -> str:
    """A loss and its gradient by gradcheck, beside the library's, and with scores that overflow."""
    loss, by_hand = require(names, "cross_entropy"), require(names, "slope")
    rng = np.random.default_rng(0)
    for scale, what in ((1.0, "scores of size 1"), (1000.0, "scores of size 1000")):
        z, classes = scale * rng.normal(size=(4, 3)), np.array([2, 0, 1, 1])
        x = tg.Tensor(z, requires_grad=True)
        known = tg.cross_entropy(x, classes)
        with np.errstate(all="ignore"):
            close(loss(z, classes), known.item(), f"{what}: the loss")
            close(by_hand(z, classes), tg.gradients(known, [x])[0], f"{what}: slope")
        if scale == 1:
            checked(lambda z, classes=classes: loss(z, classes), z)
    close(
        np.exp(numbers(require(names, "log_softmax")(z), "log_softmax")).sum(axis=1),
        np.ones(4),
        "the sum of probabilities",
    )
    return "gradcheck agrees; loss and slope are the library's, also for scores of 1000."


@grader(10)
def convolution(names: Names) -> str:
    """Three functions as ops that are one another's rules, by gradcheck, and the library's convolution as the value."""
    functions = [require(names, name) for name in ("conv", "conv_in_x", "conv_in_w")]
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 6)), rng.normal(size=(3, 2))
    close(functions[0](x, w), tg.conv2d(tg.Tensor(x[None, None]), tg.Tensor(w[None, None]))[0, 0], "conv(x, w)")
    g = rng.normal(size=(3, 5))
    product = (g * functions[0](x, w)).sum()
    close((functions[1](g, w) * x).sum(), product, "the sum of conv_in_x(g, w) * x")
    close((functions[2](g, x) * w).sum(), product, "the sum of conv_in_w(g, x) * w")

    @tg.op
    def conv(x: Any, w: Any) -> Any:
        return functions[0](x, w)

    @tg.op
    def conv_in_x(u: Any, w: Any) -> Any:
        return functions[1](u, w)

    @tg.op
    def conv_in_w(u: Any, x: Any) -> Any:
        return functions[2](u, x)

    conv.vjp(x=lambda g, w: conv_in_x(g, w), w=lambda g, x: conv_in_w(g, x))
    conv_in_x.vjp(u=lambda g, w: conv(g, w), w=lambda g, u: conv_in_w(u, g))
    conv_in_w.vjp(u=lambda g, x: conv(x, g), x=lambda g, u: conv_in_x(u, g))
    checked(conv, x, w)
    checked(conv, x[:3, :3], w)
    return "gradcheck agrees with all three to second order, and the values are the library's."


@grader(11)
def descent(names: Names) -> str:
    """Three optimizers, step by step beside the library's."""
    step, heavy, adam = (require(names, name) for name in ("descent", "momentum", "adam"))
    start, zero = np.array([-1.2, 1.0]), np.zeros(2)

    def valley(p: tg.Tensor) -> tg.Tensor:
        return (1 - p[0]) ** 2 + 10 * (p[1] - p[0] ** 2) ** 2

    runs: dict[str, tuple[int, Callable[..., Any], Callable[[nn.Parameter], Any]]] = {
        "descent": (0, lambda t, p, g: (step(p, g, 0.002),), lambda p: tg.optim.SGD([p], lr=0.002)),
        "momentum": (
            1,
            lambda t, p, g, v: heavy(p, g, v, 0.002, mu=0.8),
            lambda p: tg.optim.SGD([p], lr=0.002, momentum=0.8),
        ),
        "adam": (
            2,
            lambda t, p, g, m, s: adam(p, g, m, s, t, 0.05, eps=0.01),
            lambda p: tg.optim.Adam([p], lr=0.05, eps=0.01),
        ),
    }
    ends = []
    for name, (memories, answer, make) in runs.items():
        known = nn.Parameter(start)
        optimizer = make(known)
        p, *state = (start, *[zero] * memories)
        for t in range(1, 51):
            optimizer.zero_grad()
            valley(known).backward()
            optimizer.step()
            leaf = tg.Tensor(p, requires_grad=True)
            (g,) = tg.gradients(valley(leaf), [leaf])
            p, *state = answer(t, p.copy(), g.numpy(), *state)
            close(p, known, f"{name}, step {t}: p")
        ends.append(f"{name} {valley(leaf).item():.3g}")
    return f"Fifty steps of each are those of the library. Height in the valley at their ends: {', '.join(ends)}."


@grader(12)
def digits(names: Names) -> str:
    """A network by its shapes, its loss by gradcheck, and its accuracy after training."""
    make, loss_of, train = (require(names, name) for name in ("make", "loss_of", "train"))
    tg.manual_seed(0)
    model = make()
    shapes = sorted(p.shape for p in model.parameters())
    if shapes != [(4,), (4, 1, 3, 3), (10,), (10, 32), (32,), (32, 64)]:
        raise NotSolved(f"the parameters have the shapes {shapes}, which are not those of the layers in the text")
    images, classes = tg.data.digits()
    mixed = np.random.default_rng(0).permutation(len(classes))  # each person drew many
    x, y = (images[mixed, None] / 16).astype(np.float32), classes[mixed]
    close(loss_of(model, x[:20], y[:20]), tg.cross_entropy(model(tg.Tensor(x[:20])), y[:20]), "the loss", rtol=1e-5)
    exact = copy.deepcopy(model).to(np.float64)
    checked(lambda x: loss_of(exact, x, y[:3]), x[:3].astype(np.float64), order=1, what="the loss: ")

    def batches() -> Iterator[tuple[tg.Tensor, np.ndarray]]:
        rng = np.random.default_rng(0)
        for _ in range(10):
            for at in np.split(rng.permutation(TRAINING), 30):
                yield tg.Tensor(x[at]), y[at]

    train(model.train(), batches())
    with tg.no_grad():
        scores = model.eval()(tg.Tensor(x[TRAINING:]))
    accuracy = float((scores.numpy().argmax(axis=1) == y[TRAINING:]).mean())
    if not accuracy >= ACCURACY:
        raise NotSolved(
            f"the accuracy on {len(y) - TRAINING} other digits is {accuracy:.1%}; it must be {ACCURACY:.0%}"
        )
    names["trained"] = model
    return f"The accuracy on {len(y) - TRAINING} digits that the network has not seen is {accuracy:.1%}."
